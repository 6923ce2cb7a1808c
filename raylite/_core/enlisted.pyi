from raylite._core.party import Party

class Enlisted(Party):
    @property
    def master(self) -> int: ...
