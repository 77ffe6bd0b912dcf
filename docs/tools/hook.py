"""The MkDocs side of the tutorials: make the pages, put them in the site and in its navigation."""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
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
