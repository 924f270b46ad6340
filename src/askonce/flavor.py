"""A flavor: what the doors of one flavor of a cache, blocking or suspending, go through."""

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
    """The doors over one desk."""

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
