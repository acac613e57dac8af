-- Run once by the PostgreSQL image, when its volume is empty: a database and a role for each of the two users.
\set hapi_password `cat /run/secrets/hapi_password`
\set trd_password `cat /run/secrets/trd_password`
-- Fails where a password could not be read: such a role could never log in.
SELECT 1 / (length(:'hapi_password') * length(:'trd_password'));

CREATE ROLE hapi LOGIN PASSWORD :'hapi_password';
CREATE DATABASE hapi OWNER hapi;
REVOKE ALL ON DATABASE hapi FROM PUBLIC;

CREATE ROLE trd LOGIN PASSWORD :'trd_password';
CREATE DATABASE trd OWNER trd;
REVOKE ALL ON DATABASE trd FROM PUBLIC;
