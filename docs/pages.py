"""A hook of MkDocs: the site has the repository's own layout.

So a link that works on GitHub, such as from `docs/findings.md` to `../results/README.md`, works on
the site too, and no page has to be written twice.
"""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

REPOSITORY = Path(__file__).resolve().parents[1]
SHOWN = (
    "*.md",
    "LICENSE",
    "docs/**/*",
    "results/**/*.md",
    "results/**/*.csv",
    "results/**/*.html",
    "results/**/*.png",
    "results/**/*.svg",
    "baselines/**/*.py",
    "benchmark/**/*.py",
    "envs/**/*.py",
)
"""What pages link to."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Name files by their path in the repository, where MkDocs names them by that in docs/."""
    of_theme = [file for file in files if file.src_dir != config.docs_dir]
    found = sorted({path for pattern in SHOWN for path in REPOSITORY.glob(pattern)})
    return Files(
        of_theme
        + [
            File(
                str(path.relative_to(REPOSITORY)),
                str(REPOSITORY),
                config.site_dir,
                config.use_directory_urls,
            )
            for path in found
            if path.is_file() and "__pycache__" not in path.parts
        ]
    )
