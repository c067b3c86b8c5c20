"""Says in English what a clip shows: the `<summary>` and `<description>` of a spec.

The summary names subject, action and place. The description goes on in the order of a
directive: subject, camera, motion, VFX, environment, each by a varying subset of the
tags, for the tags themselves carry the rest. Tags are spoken of by the taxonomy's
phrases, word for word, so that corruption can find, reword and contradict them.
"""

import dataclasses
import re

from animatrix_jax.cels.backgrounds import preposition
from animatrix_jax.cels.casting import CharacterSpec
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.rarities import ORDINARY
from animatrix_jax.cels.spec import ClipSpec
from animatrix_jax.cels.tagging import EFFECTS
from animatrix_jax.knowledge.taxonomy import load_taxonomy

MAX_WORDS = 60
MAX_SENTENCES = 5
# What goes somewhere moves along its place; the rest happens at it.
TRAVELLING = ("walk", "run", "dash")
HAIR = {
    "short": "short {}hair",
    "bob": "a {}bob",
    "long": "long {}hair",
    "ponytail": "a {}ponytail",
    "twintails": "{}twintails",
    "spiky": "spiky {}hair",
    "bun": "{}hair in a bun",
    "braids": "{}braids",
    "drills": "{}drill curls",
    "afro": "a {}afro",
    "mohawk": "a {}mohawk",
    "dreadlocks": "{}dreadlocks",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Narrative:
    """The prose of a directive: one sentence, and three to five."""

    summary: str
    description: str


def narrate(spec: ClipSpec) -> Narrative:
    """The narrative of `spec`; a pure function of it, no more than 60 words in all."""
    return _Writer(spec).write()


class _Writer:
    def __init__(self, spec: ClipSpec) -> None:
        self.spec = spec
        self.person = spec.character
        self.draws = Draws(spec.art, "narrative")
        self.taxonomy = load_taxonomy()
        # In black and white no one can check a colour, so none is claimed.
        self.says_colour = "monochrome" not in spec.values(
            "style.palette"
        ) and "mono_manga" not in spec.values("style.rendering")
        female = self.person.gender in ("girl", "woman")
        self.pronoun = "She" if female else "He"

    def write(self) -> Narrative:
        summary, told = self._summary()
        parts = {
            "subject": self._subject(told),
            "camera": self._camera(),
            "motion": self._motion(),
            "vfx": self._vfx(),
            "environment": self._environment() if self.draws.chance(0.5) else "",
        }
        parts["finish"] = self._finish()
        parts = {name: text for name, text in parts.items() if text}
        if len(parts) > MAX_SENTENCES:
            parts.pop("environment")
        # What is too long loses its least important sentence, then its asides.
        if _words(summary, parts) > MAX_WORDS and len(parts) > 3:
            parts.pop("environment", None)
        for name, mark in (("camera", ";"), ("subject", ","), ("motion", ",")):
            if _words(summary, parts) > MAX_WORDS and mark in parts[name]:
                parts[name] = parts[name].partition(mark)[0] + "."
        for name in ("finish", "vfx"):
            if _words(summary, parts) > MAX_WORDS:
                parts.pop(name, None)
        return Narrative(summary=summary, description=" ".join(parts.values()))

    def _summary(self) -> tuple[str, str]:
        """The sentence, and which feature of the subject it has told."""
        spec, place = self.spec, self.person.place
        said = 0.15 if self.spec.values("motion.emotion") else 0.0
        told = self.draws.choice(("hair", "cloth", "emotion"), (0.55, 0.3, said))
        verb = self._phrase("motion.motion_style")
        travelling = spec.value("motion.motion_style") in TRAVELLING
        link = preposition(place, "moving" if travelling else "standing")
        feature = {
            "hair": f" with {_hair(self.person, self._colour('hair'))}",
            "cloth": f" in {_cloth(self.person, self._colour('cloth'))}",
            "emotion": f" {self._phrase('motion.emotion')}",
        }[told]
        sentence = f"A {self.person.gender}{feature} {verb} {link} {place}."
        return sentence, told

    def _subject(self, told: str) -> str:
        """What the summary has left out of the person."""
        hair = _hair(self.person, self._colour("hair"))
        cloth = _cloth(self.person, self._colour("cloth"))
        eyes = f"{_eye(self._colour('eye'))}eyes" if self.says_colour else ""
        features = [f"wears {cloth}"] if told != "cloth" else []
        owned = [hair] if told != "hair" else []
        if eyes and (self.draws.chance(0.5) or not owned):
            owned.append(eyes)
        if self.person.glasses:
            owned.append("glasses")
        if owned:
            features.insert(0, f"has {_listed(owned)}")
        emotion = ""
        phrase = self._phrase("motion.emotion")
        if phrase and told != "emotion" and self.draws.chance(0.75):
            emotion = f", {phrase}"
        subject = self.draws.choice((self.pronoun, f"The {self.person.gender}"))
        kept = features if self.draws.chance(0.5) else features[:1]
        return f"{subject} {_listed(kept)}{emotion}."

    def _camera(self) -> str:
        moves = self._phrases("camera.camera_motion")
        shot = self._phrase("camera.shot_size")
        angle = self._phrase("camera.angle")
        speed = self._phrase("camera.camera_speed")
        depth = self._phrase("camera.depth")
        extra = [p for p in (angle, depth) if p and self.draws.chance(0.35)]
        text = " ".join([" while ".join(moves), shot, *extra])
        # Shot first, also where "trucks in in a close-up" would stutter.
        if self.draws.chance(0.4) or moves[-1].endswith(" in"):
            text = f"{' '.join([shot, *extra])}, {' while '.join(moves)}"
        if speed and self.draws.chance(0.25):
            return f"{_capital(text)}; it is shot {speed}."
        return f"{_capital(text)}."

    def _motion(self) -> str:
        if self.spec.value("motion.motion_style") == "still":
            return f"The drawing is {self._phrase('motion.timing')}."
        manner = [
            self._phrase(key)
            for key in ("motion.amplitude", "motion.speed")
            if self.draws.chance(0.5)
        ]
        finish = self._phrases("motion.spacing") if self.draws.chance(0.45) else []
        if self.spec.values("motion.deformation") != ("none",) or self.draws.chance(
            0.1
        ):
            finish += self._phrases("motion.deformation")
        timing = self._phrase("motion.timing") if self.draws.chance(0.7) else ""
        if timing:
            noun = self.draws.choice(("motion", "action", "movement"))
            body = " ".join([f"The {noun} is {timing}", *manner])
        else:
            manner = manner or [self._phrase("motion.amplitude")]
            body = " ".join([f"{self.pronoun} moves", *manner])
        return f"{body}{', ' if finish else ''}{_listed(finish)}."

    def _vfx(self) -> str:
        phrases = []
        for key in EFFECTS:
            if self.spec.values(key) not in ((), ("none",)):
                phrases += self._phrases(key)
        if phrases:
            opening = self.draws.choice(
                ("The moment is marked", "The shot is drawn", "The scene plays")
            )
            return f"{opening} {_listed(phrases[:2])}."
        if self.draws.chance(0.3):
            return "The shot plays without any effects."
        return ""

    def _environment(self) -> str:
        keys = [
            ("style.palette", 0.4),
            ("style.rendering", 0.3),
            ("style.line", 0.25),
            ("style.proportion", 0.2),
        ]
        if self.spec.values("style.background") in (("painted",), ("photo_based",)):
            keys.append(("style.background", 0.35))
        phrases = [
            self._phrase(key) for key, chance in keys if self.draws.chance(chance)
        ]
        phrases = phrases[-2:] or [self._phrase("style.palette")]
        opening = self.draws.choice(("The setting is", "The picture is", "It is all"))
        return f"{opening} drawn {' '.join(phrase for phrase in phrases if phrase)}."

    def _finish(self) -> str:
        """One thing that is out of the ordinary in how the picture was made."""
        keys = ("motion.idiom", "style.video_style", "style.era", "vfx.composite")
        told = [
            (key, value)
            for key in keys
            for value in self.spec.values(key)
            if value != ORDINARY.get(key)
        ]
        draws = self.draws.child("finish")
        if not told or not draws.chance(0.75):
            return ""
        key, value = draws.choice(told)
        found = self.taxonomy.value(f"{key}={value}")
        return self.taxonomy.field(key).state(found)

    def _colour(self, part: str) -> str:
        if not self.says_colour:
            return ""
        return f"{getattr(self.person, part + '_colour')} "

    def _phrases(self, key: str) -> list[str]:
        return [
            self.taxonomy.value(f"{key}={value}").phrase
            for value in self.spec.values(key)
        ]

    def _phrase(self, key: str) -> str:
        """The phrase of a field's first value, empty where the clip does not state it."""
        phrases = self._phrases(key)
        return phrases[0] if phrases else ""


def _hair(person: CharacterSpec, colour: str) -> str:
    return _article(HAIR[person.hair_style].format(colour))


def _eye(colour: str) -> str:
    return colour.replace("blonde", "golden")


def _cloth(person: CharacterSpec, colour: str) -> str:
    return _article(f"a {colour}{person.cloth_kind.replace('_', ' ')}")


def _article(noun: str) -> str:
    """ "a" before a vowel is "an"."""
    return re.sub(r"^a (?=[aeiou])", "an ", noun)


def _words(summary: str, parts: dict[str, str]) -> int:
    return len(" ".join((summary, *parts.values())).split())


def _listed(items: list[str]) -> str:
    """Items joined as a sentence joins them."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
