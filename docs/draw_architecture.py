"""Draw the rooms of the package and what they import into ``docs/architecture.md``.

    python docs/draw_architecture.py            # draws
    python docs/draw_architecture.py --check    # fails if the picture is out of date

The layers come from ``tests/layers.py``, the imports and the descriptions from the code itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.layers import LAYER_OF, LAYERS, imports, modules, room_of  # noqa: E402

PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- drawn by draw_architecture.py: begin -->", "<!-- drawn by draw_architecture.py: end -->"


def shown(room: str) -> str:
    """Return the name of a room as the picture has it."""
    return "gc3store" if room == "__init__" else room


def imported_rooms() -> dict[str, set[str]]:
    """Return which other rooms each room imports."""
    found: dict[str, set[str]] = {room: set() for room in LAYER_OF}
    for each in imports(modules()):
        found[room_of(each.importer)].add(room_of(each.imported))
    return {room: imported - {room} for room, imported in found.items()}


def without_detours(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the edges of an acyclic graph without those that a longer way makes superfluous."""

    def reached(start: str) -> set[str]:
        return edges[start].union(*(reached(target) for target in edges[start]))

    return {
        node: targets - set().union(*(reached(target) for target in targets))
        for node, targets in edges.items()
    }


def picture() -> str:
    """Return the diagram: a box for each layer, an arrow where one room imports another."""
    edges = imported_rooms()
    upward = {(room, other) for room in edges for other in edges[room] if LAYER_OF[other] > LAYER_OF[room]}
    downward = {room: {other for other in edges[room] if (room, other) not in upward} for room in edges}
    lines = ["```mermaid", "flowchart TB"]
    for number, (title, rooms) in reversed(list(enumerate(LAYERS, 1))):
        lines += [f'  subgraph layer{number}["{number}. {title}"]']
        lines += [f'    room_{room}["{shown(room)}"]' for room in rooms]
        lines += ["  end"]
    for room, targets in without_detours(downward).items():
        lines += [f"  room_{room} --> room_{target}" for target in sorted(targets)]
    lines += [f"  room_{room} -.-> room_{other}" for room, other in sorted(upward)]
    return "\n".join([*lines, "```"])


def table() -> str:
    """Return the table of the rooms, the highest layer first."""
    package = modules()
    lines = ["| layer | room | what it is |", "|---|---|---|"]
    for number, (_, rooms) in reversed(list(enumerate(LAYERS, 1))):
        for room in rooms:
            module = package["gc3store" if room == "__init__" else f"gc3store.{room}"]
            name = f"`{shown(room)}/`" if module.is_package else f"`{room}`"
            title = module.title.replace("``", "`").replace("|", "\\|")
            lines.append(f"| {number} | {name} | {title} |")
    return "\n".join(lines)


def main() -> None:
    """Bring the page up to date, or say that it is not."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    drawn = f"{before}{BEGIN}\n{picture()}\n\n{table()}\n{END}{after}"
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(drawn, encoding="utf-8")
    elif drawn != page:
        sys.exit(f"{PAGE} is out of date: run python docs/draw_architecture.py")


if __name__ == "__main__":
    main()
