"""The recipes of docs/recipes: every block of code in them is part of a program that is run, word for word.

A line `<!-- FILE -->` or `<!-- FILE: NAME -->` stands above a block. The block is the whole file, or what stands in it
between a line that ends in `recipe`, or `recipe NAME`, and one that ends in `end`.
"""

import re
from pathlib import Path
from textwrap import dedent

BLOCK = re.compile(r"<!-- (?P<file>[^\s:]+)(?:: (?P<name>[^>]+))? -->\n```(?P<kind>\w*)\n(?P<text>.*?)```\n", re.S)


def part(root, file, name):
    """What a block must be."""
    text = (root / file).read_text()
    if name is None:
        return text
    marked = re.search(rf"^[ \t]*(?://|#) {re.escape(name)}\n(.*?)^[ \t]*(?://|#) end$", text, re.S | re.M)
    if marked is None:
        raise ValueError(f"{file} has no part that is marked `{name}`")
    return dedent(marked[1]).strip("\n") + "\n"


def pages(root):
    return sorted((root / "docs" / "recipes").glob("*.md"))


def complaints(root: Path):
    """Blocks that differ from their program, blocks of no program, and programs of no page."""
    found, named = [], set()
    for page in pages(root):
        text = page.read_text()
        blocks = list(BLOCK.finditer(text))
        fences = len(re.findall(r"^```\w", text, re.M)) - len(re.findall(r"^```(?:toml|console)$", text, re.M))
        if fences != len(blocks):
            found.append(f"{page.name}: {fences - len(blocks)} blocks of code name no program")
        for block in blocks:
            named.add(block["file"])
            try:
                if block["text"] != part(root, block["file"], block["name"]):
                    found.append(f"{page.name}: the block from {block['file']} is not what is in it; --recipes writes it anew")
            except (OSError, ValueError) as error:
                found.append(f"{page.name}: {error}")
    for room in ["clients", "validators"]:
        for file in sorted((root / "conformance" / room).rglob("*")):
            path = str(file.relative_to(root))
            marked = file.is_file() and re.search(r"^\s*(?://|#) recipe", file.read_text(errors="replace"), re.M)
            if marked and "harness" not in path and path not in named:
                found.append(f"{path}: no page of docs/recipes shows it")
    return found


def write(root: Path):
    """Puts into every page what its programs have now."""
    def anew(block):
        name = f": {block['name']}" if block["name"] else ""
        return f"<!-- {block['file']}{name} -->\n```{block['kind']}\n{part(root, block['file'], block['name'])}```\n"

    for page in pages(root):
        page.write_text(BLOCK.sub(anew, page.read_text()))
