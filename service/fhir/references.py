"""Read what FHIR names things by: the addresses of systems."""


def plain_system(uri: str) -> str:
    """One spelling for all spellings of the address of a code system or of a system of identifiers.

    Records write one address with `http` or `https`, with a version behind `|`, with a slash at the end, and
    in capitals. No two systems differ in these alone.
    """
    address = uri.strip().partition("|")[0].rstrip("/").lower()
    return address.replace("https://", "http://", 1) if address.startswith("https://") else address
