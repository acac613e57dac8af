"""Augmenting agents: when each was taken at a dose that augments an antidepressant.

A lower dose is given for something else: 25 mg of quetiapine helps to sleep. A dose that nobody documented is
never assumed to be enough. A prescription of an agent shows that the effect was not enough, taken or not.
"""

from dataclasses import replace

from service.core.courses import Course, Episode, join_courses
from service.core.knowledge import Knowledge, PrescribedOnly, UndocumentedDose
from service.core.records import Exposure


def join_agent_courses(
    exposures: tuple[Exposure, ...], episode: Episode, knowledge: Knowledge
) -> tuple[Course, ...]:
    """The courses of one augmenting agent, in order of time."""
    name = exposures[0].medicine.ingredient
    agent = knowledge.agents.get(name) if name else None
    criteria = replace(
        knowledge.criteria,
        undocumented_dose=UndocumentedDose.INDETERMINATE,
        prescribed_only=PrescribedOnly.AS_TAKEN,
    )
    return join_courses(exposures, agent, episode, criteria)
