"""Options of a face that ``emotalk animate`` and ``emotalk live`` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emotalk_contract.checking import from_json
from emotalk_contract.emotion_curve import EXAMPLE, EmotionKey, check_keys
from emotalk_contract.emotions import EMOTIONS
from emotalk_contract.errors import InvalidRequest
from emotalk_contract.limits import MAX_EMOTION_KEYS_CHARACTERS, MAX_EMOTION_STRENGTH, MAX_EMOTION_TRANSITION_S
from emotalk_contract.quoting import quoted

Emotion = Annotated[
    list[str] | None, typer.Option(metavar="NAME=AMOUNT", help=f"0..1 of {', '.join(EMOTIONS)}; repeatable.")
]
EmotionKeys = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help=f"Emotions over time, as JSON: {EXAMPLE}; before the first, those of --emotion."),
]
EmotionTransition = Annotated[
    float, typer.Option(help=f"Seconds in which a key's emotions come, 0..{MAX_EMOTION_TRANSITION_S:g}.")
]
EmotionStrength = Annotated[float, typer.Option(help=f"Factor of all emotions, 0..{MAX_EMOTION_STRENGTH:g}.")]
Region = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="One of Audio2Face's face parameters, as upperFaceStrength=1.2."),
]


def by_name(pairs: list[str] | None, option: str) -> dict[str, float]:
    """Return ``["jawOpen=1.2"]`` as a mapping.

    Raises:
        typer.BadParameter: one is not NAME=NUMBER, or a name is given twice.
    """
    values: dict[str, float] = {}
    for pair in pairs or []:
        name, _, value = pair.partition("=")
        if name in values:
            raise typer.BadParameter(f"{quoted(name)} is given twice; accepted: once", param_hint=option)
        try:
            values[name] = float(value)
        except ValueError:
            raise typer.BadParameter(f"{quoted(pair)}; accepted: NAME=NUMBER", param_hint=option) from None
    return values


def read_keys(path: Path | None) -> list[EmotionKey]:
    """Return the keys in the file ``path``; None: there is none.

    Raises:
        typer.BadParameter: it cannot be read, or its content is not keys.
    """
    if path is None:
        return []
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_EMOTION_KEYS_CHARACTERS + 1)
        keys = from_json("emotion_keys", text, list, EXAMPLE, MAX_EMOTION_KEYS_CHARACTERS)
        check_keys(keys)
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} cannot be read ({error})", param_hint="--emotion-keys") from error
    except InvalidRequest as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint="--emotion-keys") from error
    return keys
