"""Names, negations, histories and reasons in every language that the lists say they cover."""

import pytest

from service.core.diagnoses import place_allergy, place_diagnosis
from service.core.medicines import identify_medicine
from service.core.reasons import read_indication, read_stop_reasons
from service.core.records import (
    ClinicalStatus,
    Concept,
    Diagnosis,
    Identified,
    Indication,
    Role,
    StopReason,
    SuicidalityKind,
    Verification,
)
from tests.core.builders import US, ref

# ruff: noqa: RUF001 - texts in other scripts

KETAMINE = [
    "ketamine",
    "Ketamine",
    "KETAMINE",
    "kétamine",
    "Ketamin",
    "ketamina",
    "cetamina",
    "ketamiini",
    "ketamín",
    "ketaminą",
    "Ketaminhydrochlorid",
    "esketamine",
    "eskétamine",
    "Esketamin",
    "esketamina",
    "escetamina",
    "esketamiini",
    "S-ketamine",
    "S-Ketamin",
    "Spravato",
    "Ketanest",
    "Ketalar",
    "кетамин",
    "эскетамин",
    "Кетамина",
    "кетамін",
    "ескетамін",
    "κεταμίνη",
    "εσκεταμίνη",
    "كيتامين",
    "إسكيتامين",
    "کتامین",
    "קטמין",
    "אסקטמין",
    "氯胺酮",
    "艾司氯胺酮",
    "盐酸氯胺酮注射液",
    "K他命",
    "愷他命",
    "ケタミン",
    "エスケタミン",
    "ｹﾀﾐﾝ",
    "ケタミン塩酸塩",
    "케타민",
    "에스케타민",
    "케타민염산염",
    "เคตามีน",
    "เอสเคตามีน",
    "केटामाइन",
    "एस्केटामाइन",
    "কেটামিন",
    "கெட்டமைன்",
    "კეტამინი",
    "կետամին",
]


def placed(text: str) -> Diagnosis:
    bare = Diagnosis(text, ClinicalStatus.ACTIVE, Verification.CONFIRMED, (ref("it", "Condition"),))
    return place_diagnosis(bare, Concept(text=text), Concept(), US)


@pytest.mark.parametrize("name", KETAMINE)
def test_ketamine_is_known_in_every_script_and_element(name: str) -> None:
    for text in (name, f"{name} 50 mg", f"({name})", name.upper()):
        assert identify_medicine(Concept(text=text), US).role is Role.ESKETAMINE
        assert place_allergy((Concept(text=text),), US).groups == (("hypersensitivity", True),)
        assert placed(text).safety_in_words == ("hypersensitivity",)


def test_what_only_sounds_like_ketamine_is_not() -> None:
    for text in ("acetaminophen", "Paracetamol", "ketoconazole", "cetirizine"):
        assert identify_medicine(Concept(text=text), US).role is not Role.ESKETAMINE


ANTIDEPRESSANTS = {
    "fluoxetine": "fluoxetine Fluoxetin fluoxétine fluoxetina fluoksetin fluoksetiini fluoksetyna",
    "venlafaxine": "venlafaxine Venlafaxin venlafaxina venlafaksin venlafaksiini wenlafaksyna",
    "sertraline": "sertraline Sertralin sertralina sertraliini",
    "citalopram": "citalopram sitalopraami",
    "escitalopram": "escitalopram essitalopraami",
    "paroxetine": "paroxetine paroxetina paroksetin paroksetiini paroksetyna",
    "duloxetine": "duloxetina duloksetin duloksetiini duloksetyna duloxétine",
    "mirtazapine": "mirtazapina mirtatsapiini Mirtazapin",
    "amitriptyline": "amitriptilina amitriptyliini amitryptylina Amitriptylin",
    "clomipramine": "clomipramina klomipramin klomipramiini klomipramina",
    "bupropion": "bupropión bupropione bupropiona bupropioni",
    "trazodone": "trazodona tratsodoni Trazodon",
    "moclobemide": "moclobemida moklobemid moklobemidi moclobémide",
    "vortioxetine": "vortioxetina vortioksetin vortioksetiini wortioksetyna",
}


@pytest.mark.parametrize(
    ("ingredient", "name"), [(i, name) for i, names in ANTIDEPRESSANTS.items() for name in names.split()]
)
def test_an_antidepressant_is_known_by_its_name_in_words_only(ingredient: str, name: str) -> None:
    for text in (name, f"{name} 20 mg", name.upper()):
        found = identify_medicine(Concept(text=text), US)
        assert (found.identified, found.ingredient) == (Identified.TEXT_ONLY, ingredient)


SUICIDAL = {
    "en": ("suicidal ideation", "suicidal thoughts", "SI", "self-harm", "suicide attempts"),
    "de": ("Suizidgedanken", "Suizidalität", "Selbstmordgedanken", "suizidale Gedanken"),
    "fr": ("idées suicidaires", "idéation suicidaire", "tentatives de suicide"),
    "es": ("ideación suicida", "ideas suicidas", "ideación autolítica"),
    "nl": ("suïcidale gedachten", "suïcidaliteit", "zelfmoordgedachten"),
}
CONTRAINDICATIONS = {
    "en": ("aneurysm", "AAA", "AVM", "brain bleed", "haemorrhagic CVA", "hemorrhagic stroke", "ICH"),
    "de": ("Aneurysma", "Bauchaortenaneurysma", "AV-Malformation", "Hirnblutung", "hämorrhagischer Insult"),
    "fr": ("anévrisme", "anévrysme", "malformation artério-veineuse", "AVC hémorragique"),
    "es": ("aneurisma", "malformación arteriovenosa", "hemorragia cerebral", "ictus hemorrágico"),
    "nl": ("aneurysma", "arterioveneuze malformatie", "hersenbloeding", "hemorragisch CVA"),
}
NEGATED = {
    "en": (
        "no {}",
        "denies {}",
        "without {}",
        "{} denied",
        "no evidence of {}",
        "{}: none",
        "negative for {}",
    ),
    "de": ("kein {}", "keine {}", "ohne {}", "{} verneint", "kein Anhalt für {}", "{} ausgeschlossen"),
    "fr": ("pas de {}", "pas d'{}", "aucune {}", "sans {}", "nie {}", "absence de {}"),
    "es": ("no {}", "sin {}", "niega {}", "ausencia de {}", "{} descartada"),
    "nl": ("geen {}", "niet {}", "zonder {}", "ontkent {}", "geen aanwijzingen voor {}", "{} uitgesloten"),
}
PAST = {
    "en": ("history of {}", "h/o {}", "previous {}", "{} in the past"),
    "de": ("frühere {}", "anamnestisch {}", "{} in der Vergangenheit"),
    "fr": ("antécédents de {}", "antécédent d'{}", "ATCD de {}"),
    "es": ("antecedentes de {}", "historia de {}", "{} previa"),
    "nl": ("voorgeschiedenis van {}", "eerdere {}", "{} in het verleden"),
}
UNKNOWN = {
    "en": "cousin's {}",
    "de": "{} der Mutter",
    "fr": "{} chez sa mère",
    "es": "{} de la madre",
    "nl": "{} moeder",
}
LANGUAGES = tuple(NEGATED)


@pytest.mark.parametrize("language", LANGUAGES)
def test_suicidality_is_present_denied_or_past(language: str) -> None:
    for phrase in SUICIDAL[language]:
        assert placed(phrase).suicidality is SuicidalityKind.IN_WORDS, phrase
        for frame in NEGATED[language]:
            assert placed(frame.format(phrase)).suicidality is None, frame.format(phrase)
        for frame in PAST[language]:
            assert placed(frame.format(phrase)).suicidality is SuicidalityKind.HISTORY, frame.format(phrase)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_contraindication_is_present_or_denied_and_stays_when_it_is_past(language: str) -> None:
    for phrase in CONTRAINDICATIONS[language]:
        (group,) = placed(phrase).safety_in_words
        assert US.safety_groups[group].effect is not None
        for frame in NEGATED[language]:
            assert placed(frame.format(phrase)).safety_in_words == (), frame.format(phrase)
        for frame in PAST[language]:
            assert placed(frame.format(phrase)).safety_in_words == (group,), frame.format(phrase)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_denial_with_a_word_more_is_no_denial(language: str) -> None:
    for frame in NEGATED[language]:
        for phrase in (*SUICIDAL[language], *CONTRAINDICATIONS[language]):
            if phrase == "SI":
                continue
            text = UNKNOWN[language].format(frame.format(phrase))
            found = placed(text)
            assert found.suicidality is SuicidalityKind.IN_WORDS or found.safety_in_words, text


IN_WORDS_ONLY = {
    "it": ("ideazione suicidaria", "aneurisma", "malformazione artero-venosa", "emorragia cerebrale"),
    "pt": ("ideação suicida", "aneurisma", "malformação arteriovenosa", "AVC hemorrágico"),
    "da": ("selvmordstanker", "aneurisme", "arteriovenøs malformation", "hjerneblødning"),
    "sv": ("självmordstankar", "aneurysm", "arteriovenös missbildning", "hjärnblödning"),
    "no": ("selvmordstanker", "aneurisme", "arteriovenøs malformasjon", "hjerneblødning"),
    "fi": ("itsemurha-ajatuksia", "aneurysma", "valtimo-laskimoepämuodostuma", "aivoverenvuoto"),
    "pl": ("myśli samobójcze", "tętniak", "malformacja tętniczo-żylna", "krwotok mózgowy"),
}


@pytest.mark.parametrize("language", IN_WORDS_ONLY)
def test_in_further_languages_a_phrase_is_found_and_nothing_denies_it(language: str) -> None:
    suicidal, *contraindications = IN_WORDS_ONLY[language]
    for text in (suicidal, suicidal.upper(), f"xyz {suicidal}"):
        assert placed(text).suicidality is SuicidalityKind.IN_WORDS
    groups = [placed(text).safety_in_words for text in contraindications]
    assert groups == [("aneurysm",), ("arteriovenous-malformation",), ("intracerebral-haemorrhage",)]
    assert [placed(f"xyz {text}").safety_in_words for text in contraindications] == groups


STOPPED = {
    "en": ("lack of efficacy", "nausea", "remission", "cost", "not"),
    "de": ("mangelnde Wirkung", "Nebenwirkungen", "Vollremission", "Patientenwunsch", "nicht"),
    "fr": ("manque d’efficacité", "effets indésirables", "rémission", "grossesse", "pas de"),
    "es": ("falta de eficacia", "efectos adversos", "remisión", "embarazo", "no"),
    "nl": ("onvoldoende effect", "bijwerkingen", "remissie", "kinderwens", "niet"),
}
STOPPED_FRAMES = {
    "en": ("{}", "stopped due to {}", "Discontinued: {} after 8 weeks", "{} (finding)"),
    "de": ("{}", "abgesetzt wegen {}", "{} nach 8 Wochen", "Therapie beendet bei {}"),
    "fr": ("{}", "arrêt pour {}", "arrêté en raison de {}", "{} après 8 semaines"),
    "es": ("{}", "suspendido por {}", "{} tras 8 semanas", "retirado debido a {}"),
    "nl": ("{}", "gestopt wegens {}", "gestaakt i.v.m. {}", "{} na 8 weken"),
}
KINDS = (StopReason.INEFFECTIVE, StopReason.INTOLERANCE, StopReason.REMISSION, StopReason.OTHER)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_reason_for_stopping_is_read_as_a_whole(language: str) -> None:
    *reasons, no = STOPPED[language]
    for text, kind in zip(reasons, KINDS, strict=True):
        for frame in STOPPED_FRAMES[language]:
            said = frame.format(text)
            assert read_stop_reasons([Concept(text=said)], US) == {kind}, said
            for more in (f"{said} xyz", f"xyz {said}", f"{said}?"):
                assert read_stop_reasons([Concept(text=more)], US) == {StopReason.UNCLEAR}, more
            assert kind not in read_stop_reasons([Concept(text=f"{no} {said}")], US), said


DEPRESSION = {
    "en": ("depression", "Major depressive disorder, recurrent, severe", "anxiety and depression"),
    "de": ("Depressionen", "schwere depressive Episode", "rezidivierende depressive Störung"),
    "fr": ("dépression", "trouble dépressif récurrent", "épisode dépressif sévère"),
    "es": ("depresión", "trastorno depresivo mayor", "episodio depresivo grave"),
    "nl": ("depressie", "recidiverende depressieve stoornis", "ernstige depressie"),
    "it": ("depressione",),
    "pt": ("depressão",),
    "da": ("depression",),
    "sv": ("nedstämdhet",),
    "no": ("depresjon",),
    "fi": ("masennus",),
    "pl": ("depresja",),
}


@pytest.mark.parametrize("language", DEPRESSION)
def test_depression_is_the_reason_to_give_it_where_all_is_understood(language: str) -> None:
    for text in DEPRESSION[language]:
        assert read_indication([Concept(text=text)], US) is Indication.DEPRESSION, text
        assert read_indication([Concept(text=f"{text} xyz")], US) is Indication.UNCLEAR, text
    for frame in NEGATED.get(language, ()):
        said = frame.format(DEPRESSION[language][0])
        assert read_indication([Concept(text=said)], US) is Indication.OTHER, said
