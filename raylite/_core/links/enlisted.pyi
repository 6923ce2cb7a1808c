from raylite._core.links.party import Party

class Enlisted(Party):
    @property
    def master(self) -> int: ...
