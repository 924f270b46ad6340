"""A flavor: what the doors of one way to run go through, blocking or suspending."""

from typing import TYPE_CHECKING

from askonce.answering import Answering
from askonce.desk import Desk
from askonce.recognizing import Recognition
from askonce.remembering import Remembering
from askonce.rules import Ruleset
from askonce.texts import Texts

if TYPE_CHECKING:
    from askonce.neighbors import Neighbors


class Flavor:
    """What the doors of one flavor go through."""

    def __init__(
        self,
        desk: Desk,
        recognition: Recognition,
        rules: Ruleset | None,
        neighbors: "Neighbors | None",
    ) -> None:
        self.desk = desk
        self.answering = Answering(desk, recognition, neighbors)
        self.texts = Texts(desk, rules, neighbors)
        self.remembering = Remembering(desk)
