"""Which contrast phase a CT series shows, and the evidence for it.

Sources, in this order: words of the series description and protocol, a delay in seconds named there, the time from
the start of contrast injection to acquisition, and the contrast tags. Delays after injection are those of pancreatic
protocol CT: arterial 15 to 34 s, pancreatic (late arterial) 35 to 50 s, portal venous 55 to 100 s, delayed from
120 s (NCCN pancreatic protocol: pancreatic 40 to 50 s, portal venous 65 to 70 s). Between these is `unknown`.
"""

from __future__ import annotations

import re

PHASES = ("portal_venous", "pancreatic", "arterial", "delayed", "native")
UNKNOWN = "unknown"
DEFAULT_ORDER = ("portal_venous", "pancreatic", "delayed", "arterial", "unknown", "native")

_WORDS: tuple[tuple[str, str], ...] = (
    ("native", r"nativ\w*|non[ _-]?contrast|non[ _-]?con|nonenhanced|unenhanced|w/?o( iv)? contrast"
               r"|without( iv)? contrast|ohne (km|kontrast\w*)|sans (injection|iv|contraste)|pre[ _-]?contrast"
               r"|plain|nc|ncct|sin contraste"),
    ("pancreatic", r"pancrea\w* (phase|phas\w*)|pankrea\w* ?phase|late art\w*|sp[aä]t ?art\w*|parenchym\w* phase"),
    ("portal_venous", r"porto?[ _-]?ven\w*|portal\w*|pvp?|pven|ven[oö]s\w*|venous|veineu\w*|vein|ven"),
    ("arterial", r"arter\w*|art|ap phase|art[eé]riel\w*|cta|angio\w*"),
    ("delayed", r"delay\w*|equilib\w*|excret\w*|urograph\w*|sp[aä]t\w*|late|tardi\w*|\d{1,2} ?min\w*"),
)  # fmt: skip
_PATTERNS = [(phase, re.compile(rf"(?<![a-z])(?:{words})(?![a-z])")) for phase, words in _WORDS]
_SECONDS = re.compile(r"(?<![a-z0-9.])(\d{2,3}) ?(?:s|sec|sek|seconds?)(?![a-z])")
_BOTH = re.compile(r"with (?:and|&) without|w/? ?(?:and|&) ?w/?o|without (?:and|&) with")
"""Says that a study has series of both kinds, nothing of this series."""
_NO_AGENT = re.compile(r"\s*(?:no|none|non|nein|ohne|keine?|without|w/?o|0|n)\b.*", re.IGNORECASE)


def phase_of_text(text: str) -> tuple[str, str]:
    """Phase and evidence from a description; `("", "")` if it names none.

    The evidence quotes only the word of this file's vocabulary that matched, never the rest of the text. Two words of
    different phases (other than "late arterial" and "portal venous") leave the phase open and say so.
    """
    folded = re.sub(r"[_.,;:()\[\]^|+-]+", " ", text.lower()).strip()
    folded = _BOTH.sub(" ", folded)
    found: list[tuple[str, str]] = []
    rest = folded
    for phase, pattern in _PATTERNS:
        if match := pattern.search(rest):
            found.append((phase, match.group()))
            rest = pattern.sub(" ", rest)
    phases = {phase for phase, _ in found}
    if len(phases) > 1:
        return UNKNOWN, "text names several phases: " + ", ".join(phase for phase, _ in found)
    if found:
        return found[0][0], f"text names {found[0][0]}"
    if match := _SECONDS.search(folded):
        seconds = int(match.group(1))
        return phase_of_delay(seconds), f"text names {seconds} s"
    return "", ""


def phase_of_delay(seconds: float) -> str:
    """Phase that this many seconds after the start of injection are usually called."""
    if 15 <= seconds < 35:
        return "arterial"
    if 35 <= seconds <= 50:
        return "pancreatic"
    if 55 <= seconds <= 100:
        return "portal_venous"
    if 120 <= seconds <= 1800:
        return "delayed"
    return UNKNOWN


def agent_given(agent: str) -> str:
    """`yes`, `no` or blank (not said) from ContrastBolusAgent (0018,0010)."""
    if not agent.strip():
        return ""
    return "no" if _NO_AGENT.fullmatch(agent) else "yes"


def decide_phase(text_phase: tuple[str, str], agent: str, delay_s: float | None) -> tuple[str, str]:
    """Phase and evidence from what the files say.

    Args:
        text_phase: answer of `phase_of_text`.
        agent: answer of `agent_given`.
        delay_s: first acquisition less start of injection, seconds; None if either is not known.
    """
    named, evidence = text_phase
    if named and named != UNKNOWN:
        if named == "native" and agent == "yes":
            return UNKNOWN, f"{evidence}, but a contrast agent is recorded"
        return named, evidence
    if delay_s is not None and agent != "no" and (phase := phase_of_delay(delay_s)) != UNKNOWN:
        return phase, f"acquired {delay_s:.0f} s after the start of contrast"
    if agent == "no":
        return "native", "contrast agent recorded as none"
    reasons = [evidence] if evidence else []
    if delay_s is not None:
        reasons.append(f"{delay_s:.0f} s after the start of contrast fits no phase")
    reasons.append("contrast agent recorded" if agent == "yes" else "no contrast agent recorded")
    return UNKNOWN, "; ".join(reasons)


def seconds_of_day(time: str) -> float | None:
    """A DICOM TM (`HHMMSS.FFFFFF`, colons allowed) as seconds since midnight, None if it is none."""
    match = re.fullmatch(r"(\d{2}):?(\d{2})?:?(\d{2})?(\.\d{1,6})?", time.strip())
    if not match:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups()[:3])
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    return hours * 3600 + minutes * 60 + seconds + float(match.group(4) or 0)
