"""Reading the headers of a video stream bit by bit."""

from __future__ import annotations


class Broken(ValueError):
    """These bytes are no whole header."""


class Bits:
    """The bits of `data` from the first on, most significant first; Broken beyond the last."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        """The next `count` bits as a number."""
        self._left -= count
        if self._left < 0:
            raise Broken("the header is cut short")
        return (self._value >> self._left) & ((1 << count) - 1)

    def skip(self, *counts: int) -> None:
        self.take(sum(counts))

    def exp(self) -> int:
        """Exp-Golomb, ue(v) of H.265 (9.2) and uvlc() of AV1 (4.10.3)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise Broken("a number of more than 32 bits")
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        """se(v): 0, 1, -1, 2, -2..."""
        coded = self.exp()
        return (coded + 1) // 2 if coded & 1 else -(coded // 2)

    def below(self, limit: int) -> int:
        """ns(n) of AV1 (4.10.7): a number below `limit`, which is at least 1."""
        width = limit.bit_length()
        short = (1 << width) - limit
        value = self.take(width - 1)
        return value if value < short else 2 * value - short + self.take(1)
