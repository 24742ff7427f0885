"""The page of all recipes of the zoo."""

from docs.site.repository import ROOT

FOLDER = ROOT / "zoo" / "recipes"
HEAD = """# Recipes of the zoo

Every recipe that is installed with the package. To use one, begin yours with `extends = "zoo:NAME"` and the name that
stands here, and say what differs. [Recipes](../docs/recipes.md) explains every key.
"""


def page() -> str:
    """Returns the Markdown of the page: the recipes at the top of the folder, then those of each task."""
    folders = [FOLDER, *sorted(path for path in FOLDER.iterdir() if path.is_dir())]
    return "\n".join([HEAD, *map(_section, folders)])


def _section(folder):
    title = "Shared by several presets" if folder == FOLDER else f"`{folder.name}`"
    return "\n".join([f"## {title}\n", *map(_recipe, sorted(folder.glob("*.toml")))])


def _recipe(path):
    name = path.relative_to(FOLDER).with_suffix("").as_posix()
    lines = ["```toml", *path.read_text(encoding="utf-8").strip().splitlines(), "```"]
    return "\n".join([f'??? abstract "zoo:{name}"\n', *(f"    {line}".rstrip() for line in lines), ""])
