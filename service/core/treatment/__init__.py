"""The course of treatment under a plan: what was given, how the patient responds, and what comes next.

`course` matches what was given with what was planned, `response` reads the scores, `follow` says what comes
next. Label rules, trial rules and house rules are data of the protocols, each with its source.
"""
