"""Where a checkpoint's files are: a local folder, or a repository of the Hugging Face hub.

A local folder never touches the network. Everything about the hub (download, resume, cache layout,
offline mode, tokens) is huggingface_hub's work; this file only decides which of the two is meant
and turns the many ways to fail into one clear error each.
"""

import os
from pathlib import Path


def resolve_file(
    name_or_path: str | os.PathLike[str],
    filename: str,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> Path | None:
    """Find one file of a checkpoint.

    Without a network, huggingface_hub tries for some 20 seconds to reach the hub for a file that is
    not cached; it has no switch for that but `local_files_only`, or HF_HUB_OFFLINE=1 in the
    environment, which read the cache at once.

    Args:
        name_or_path: A folder, `"user/name"` or `"user/name@revision"`.
        filename: The file's name, without any folder.
        revision: Branch, tag or commit on the hub; the default branch where None.
        cache_dir: Download cache, if not huggingface_hub's own.
        token: Hub token, for private repositories.
        local_files_only: Read the cache, never the network.

    Returns:
        The file's path, or None where the checkpoint has no such file.

    Raises:
        FileNotFoundError: There is no such folder, repository or revision, or nothing of the
            repository is cached and the hub cannot be reached.
        ValueError: `name_or_path` is neither a folder nor a repository id, or `filename` or
            `revision` would leave the checkpoint.
    """
    if not filename or Path(filename).name != filename:
        raise ValueError(f"{filename!r} is not a plain file name; files of a checkpoint lie in it")
    folder = _local_folder(name_or_path)
    if folder is not None:
        path = folder / filename
        return path if path.is_file() else None
    repo_id, revision = _split_revision(str(name_or_path), revision)
    return _download(repo_id, filename, revision, cache_dir, token, local_files_only)


def _local_folder(name_or_path: str | os.PathLike[str]) -> Path | None:
    if not os.fspath(name_or_path):
        raise ValueError("'' is neither a folder here nor a hub repository id")
    # os.path takes what is no possible path (a stranger's home, a name too long) for not there;
    # pathlib raises.
    path = Path(os.path.expanduser(name_or_path))
    if os.path.isdir(path):
        return path
    if os.path.exists(path):
        raise NotADirectoryError(
            f"{str(name_or_path)!r} is a file; give the folder that holds config.json and weights"
        )
    text = os.fspath(name_or_path)
    if not isinstance(name_or_path, str) or text.startswith(("/", ".", "~")) or "\\" in text:
        raise FileNotFoundError(f"there is no folder {text!r}")
    return None


def _split_revision(name: str, revision: str | None) -> tuple[str, str | None]:
    repo_id, _, suffix = name.partition("@")
    if suffix and revision and suffix != revision:
        raise ValueError(f"{name!r} names revision {suffix!r}, but revision={revision!r} was given")
    revision = revision or suffix or None
    if revision is not None and ".." in revision:
        raise ValueError(f"{revision!r} is not a revision: it may not hold '..'")
    return repo_id, revision


def _download(
    repo_id: str,
    filename: str,
    revision: str | None,
    cache_dir: str | Path | None,
    token: str | bool | None,
    local_files_only: bool,
) -> Path | None:
    # Imported here: it takes 0.15 s, and a local folder needs none of it.
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return Path(
            hf_hub_download(
                repo_id,
                filename,
                revision=revision,
                cache_dir=cache_dir,
                token=token,
                local_files_only=local_files_only,
            )
        )
    except HFValidationError as error:
        raise ValueError(
            f"{repo_id!r} is neither a folder here nor a hub repository id "
            "('name' or 'user/name'; letters, digits, '-', '_', '.')"
        ) from error
    except GatedRepoError as error:
        raise PermissionError(
            f"{repo_id!r} is gated: accept its terms on the hub and pass token=..."
        ) from error
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"{repo_id!r} is neither a folder here nor a repository on the hub that this token "
            "may read; check the name, or pass token=... for a private one"
        ) from error
    except RevisionNotFoundError as error:
        raise FileNotFoundError(f"{repo_id!r} has no revision {revision!r}") from error
    except LocalEntryNotFoundError as error:
        # Offline, an optional file that was never cached looks the same as a repository that was
        # never cached; a cached config.json tells the two apart.
        where = {"cache_dir": cache_dir, "revision": revision}
        if isinstance(try_to_load_from_cache(repo_id, "config.json", **where), str):
            return None
        raise FileNotFoundError(
            f"{repo_id!r} is neither a folder here nor in the download cache, and the hub was not "
            "reached (offline mode, local_files_only=True, or no network)"
        ) from error
    except EntryNotFoundError:
        return None
