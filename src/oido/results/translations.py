# SPDX-License-Identifier: Apache-2.0
"""What the report says, in English and in Spanish."""

from __future__ import annotations

from oido.models.labels import display_names

__all__ = ["SPANISH", "Words"]

SPANISH = {
    "What was heard in {}": "Lo que se ha oído en {}",
    "Heard by oido {} with {}, from {} on.": "Oído por oido {} con {}, desde el {}.",
    "Hours and days are those of {}.": "Las horas y los días son los de {}.",
    "At a glance": "De un vistazo",
    "hours of recordings": "horas de grabaciones",
    "recordings heard": "grabaciones oídas",
    "recordings failed": "grabaciones fallidas",
    "events": "eventos",
    "labels": "etiquetas",
    "days": "días",
    "gaps": "huecos",
    "from {} to {}": "del {} al {}",
    "Good: ": "Bien: ",
    "Note: ": "Nota: ",
    "Caution: ": "Atención: ",
    "every recording was heard": "todas las grabaciones se han oído",
    "{} of {} recordings could not be heard to their end; they are listed below": (
        "{} de {} grabaciones no se han podido oír hasta el final; se enumeran más abajo"
    ),
    "nothing has been heard yet": "todavía no se ha oído nada",
    "the time of every recording is known": "se conoce la hora de todas las grabaciones",
    "the time of {} of {} recordings is not known; hours, days and gaps leave them out": (
        "no se conoce la hora de {} de {} grabaciones; horas, días y huecos prescinden de ellas"
    ),
    "times that came twice on a clock that was set back; the first is taken: {}": (
        "horas que se repitieron en un reloj que se atrasó; se toma la primera: {}"
    ),
    "times that never came on a clock of that zone, left out: {}": (
        "horas que no existieron en un reloj de esa zona, descartadas: {}"
    ),
    "times from a clock that was not set, left out: {}": (
        "horas de un reloj sin ajustar, descartadas: {}"
    ),
    "{} gaps longer than {}, {} in all": "{} huecos de más de {}, {} en total",
    "1 gap longer than {}: {}": "1 hueco de más de {}: {}",
    "no gap longer than {}": "ningún hueco de más de {}",
    "scores are the model's raw outputs and not probabilities; 0.5 of one label is not 0.5 of "
    "another": (
        "las puntuaciones son las salidas sin calibrar del modelo y no probabilidades; 0,5 en una "
        "etiqueta no es 0,5 en otra"
    ),
    "the model is calibrated: probabilities hold for recordings like those of its calibration": (
        "el modelo está calibrado: las probabilidades valen para grabaciones como las de su "
        "calibración"
    ),
    "Labels": "Etiquetas",
    "label": "etiqueta",
    "recordings": "grabaciones",
    "of recordings": "de las grabaciones",
    "total time": "tiempo total",
    "highest score": "puntuación máxima",
    "highest probability": "probabilidad máxima",
    "{} more labels": "{} etiquetas más",
    "No event was found.": "No se ha encontrado ningún evento.",
    "By hour of day": "Por hora del día",
    "By day": "Por día",
    "By week": "Por semana",
    "By month": "Por mes",
    "Events per hour of recording": "Eventos por hora de grabación",
    "Hours recorded": "Horas grabadas",
    "Show them": "Mostrarlos",
    "The numbers": "Los números",
    "hour": "hora",
    "time": "tiempo",
    "recorded hours": "horas grabadas",
    "per hour": "por hora",
    "Label by hour of day": "Etiqueta por hora del día",
    "{}, hour by hour": "{}, hora a hora",
    "day": "día",
    "Events per hour of recording;": "Eventos por hora de grabación;",
    "the darkest cell of a row is its highest.": "la casilla más oscura de una fila es su máximo.",
    "the darker, the more.": "cuanto más oscuro, más.",
    "Hatched: nothing was recorded at that hour.": "Rayado: a esa hora no se grabó nada.",
    "Gaps in the recordings": "Huecos en las grabaciones",
    "from": "desde",
    "to": "hasta",
    "length": "duración",
    "The longest {} of {}.": "Los {} más largos de {}.",
    "Failures": "Fallos",
    "reason": "motivo",
    "recording": "grabación",
    "heard": "oído",
    "The first {} of {}.": "Los primeros {} de {}.",
    "How it was heard": "Cómo se ha oído",
    "model": "modelo",
    "not set": "sin fijar",
    "Made by oido {}.": "Hecho por oido {}.",
}
"""English to Spanish; what is not here stays English."""


class Words:
    """The texts, numbers and labels of one language. Call it with an English text and its values.

    locale: "en" or "es". Raises OptionError for another.
    """

    def __init__(self, locale: str) -> None:
        display_names((), locale)  # raises
        self.language = locale[:2].lower()
        self._texts = SPANISH if self.language == "es" else {}

    def __call__(self, text: str, *values: object) -> str:
        return self._texts.get(text, text).format(*values)

    def label(self, label: str) -> str:
        """What to show for a label."""
        return display_names((label,), self.language)[0]

    def number(self, value: float, decimals: int = 0) -> str:
        """With thousands apart: 12,345.6 or 12.345,6."""
        text = f"{value:,.{decimals}f}"
        return text.translate(str.maketrans(",.", ".,")) if self.language == "es" else text

    def duration(self, seconds: float) -> str:
        """Seconds in the units that fit: 12.3 s, 5 min 3 s, 7 h 20 min, 3 d 4 h."""
        if seconds < 60:
            return f"{self.number(seconds, 1)} s"
        total = round(seconds)
        for size, unit, small, lesser in (
            (86400, "d", 3600, "h"),
            (3600, "h", 60, "min"),
            (60, "min", 1, "s"),
        ):
            if total >= size:
                most, rest = total // size, total % size // small
                text = f"{self.number(most)} {unit}"
                return f"{text} {rest} {lesser}" if rest else text
        return f"{total} s"
