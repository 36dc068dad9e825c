"""What a connector is given beside its settings, for tests that run it without a host."""

from shared.model import Notes


class Remembered:
    """How far a connector has come, kept in memory."""

    def __init__(self) -> None:
        self.place: Notes = {}
        self.kept: list[Notes] = []

    def last(self) -> Notes:
        return self.place

    async def keep(self, place: Notes, /) -> None:
        self.place = place
        self.kept.append(place)
