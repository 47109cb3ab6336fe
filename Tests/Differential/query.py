"""What a query is, and what stands in its FROM."""

from rewrites import Pair


class Source:
    """What stands in FROM: its text, its columns, and those that tell its rows apart, if any do."""

    def __init__(self, text, columns, key=None):
        self.text, self.columns, self.key = text, columns, key


class Query:
    """`columns` are the answer's, with names; `ordered` where its order is total."""

    def __init__(self, text, columns, ordered=False, kind=None, limited=False):
        self.apus, self.oracle, self.columns = text.apus, text.oracle, columns
        self.ordered, self.kind, self.limited = ordered, kind, limited

    @property
    def text(self):
        return Pair(self.apus, self.oracle)
