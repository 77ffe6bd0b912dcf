"""The MkDocs side of what is generated: pages of tutorials, columns of sources."""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from side_by_side import ColumnsError, with_columns
from tutorial_pages import CACHE, TutorialError, build


def on_config(config: MkDocsConfig) -> None:
    """Run the tutorials; append their pages to the navigation's section "Tutorials"."""
    try:
        pages = build()
    except TutorialError as error:
        raise PluginError(str(error)) from error
    section = next(entry["Tutorials"] for entry in config.nav or [] if "Tutorials" in entry)
    section += [f"tutorials/{page.name}" for page in pages]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add what `build` wrote as if it lay in docs/tutorials/."""
    for path in sorted((CACHE / "pages").iterdir()):
        files.append(File.generated(config, f"tutorials/{path.name}", abs_src_path=str(path)))


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put sources beside each other where a page asks for it."""
    try:
        return with_columns(markdown)
    except ColumnsError as error:
        raise PluginError(str(error)) from error
