"""The Dockerfiles, as far as they can be read without an engine that builds them."""

import re
import subprocess
from pathlib import Path

import pytest

from deploy.prodlike.composition import FILE, Composition

ROOT = FILE.parents[1]
TIELINE = ROOT / "deploy" / "Dockerfile"
TEMPORAL = ROOT / "deploy" / "temporal" / "Dockerfile"
IGNORED = ROOT / ".dockerignore"


def instructions(path: Path) -> list[tuple[str, str]]:
    """Name and arguments, continued lines joined, comments left out."""
    text = re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    found = [line.strip().partition(" ") for line in text.splitlines() if line.strip()]
    return [(name, " ".join(rest.split())) for name, _, rest in found]


def of(path: Path, name: str) -> list[str]:
    return [rest for instruction, rest in instructions(path) if instruction == name]


def environment(path: Path) -> dict[str, str]:
    """Of the last stage."""
    return dict(pair.split("=", 1) for pair in of(path, "ENV")[-1].split())


@pytest.mark.parametrize("path", [TIELINE, TEMPORAL], ids=["tieline", "temporal"])
def test_base_images_are_pinned_by_tag_and_named_without_a_registry(path: Path) -> None:
    bases = [rest.split()[0] for rest in of(path, "FROM")]
    assert len(bases) == 2
    assert [base for base in bases if not re.fullmatch(r"[a-z]+:\d[\w.-]+", base)] == []


@pytest.mark.parametrize("path", [TIELINE, TEMPORAL], ids=["tieline", "temporal"])
def test_an_image_runs_as_a_user_by_number_who_is_not_root(path: Path) -> None:
    assert int(of(path, "USER")[-1].partition(":")[0]) > 10_000


def test_everything_that_is_installed_is_checked_by_its_hash() -> None:
    installs = re.findall(r"pip install [^&]+", " && ".join(of(TIELINE, "RUN")))
    unchecked = [each for each in installs if "--require-hashes" not in each]
    assert len(installs) == 3
    assert [each.strip() for each in unchecked] == ["pip install --no-deps --no-index /wheel/*.whl"]


def test_what_builds_the_wheel_is_found_in_the_lock_with_its_hashes() -> None:
    (script,) = re.findall(r"(awk '[^']+' requirements-dev\.lock)", " ".join(of(TIELINE, "RUN")))
    found = subprocess.run(["sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^(\w[\w-]*)==", found, re.MULTILINE) == ["setuptools"]
    assert "--hash=sha256:" in found


def test_no_file_of_the_build_is_kept_out_by_dockerignore() -> None:
    kept = {line[1:] for line in IGNORED.read_text(encoding="utf-8").splitlines() if line.startswith("!")}
    copied = [source for each in of(TIELINE, "COPY") if "--from" not in each for source in each.split()[:-1]]
    wanted = {source for source in copied if not source.startswith("-") and source != "."}
    assert wanted <= kept
    assert sorted(path for path in kept if not (ROOT / path).exists()) == []


def test_every_room_goes_into_the_image() -> None:
    kept = IGNORED.read_text(encoding="utf-8")
    packages = re.findall(r'"(\w+)\*"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert len(packages) == 9
    assert [package for package in packages if f"!{package}\n" not in kept] == []


def test_the_image_and_compose_agree_on_what_both_set() -> None:
    image, compose = environment(TIELINE), Composition({"TIELINE_DATABASE_PASSWORD": "x"}).environment("worker")
    both = image.keys() & compose.keys()
    assert sorted(both) == ["TIELINE_DATA_DIR", "TIELINE_HEALTH_ADDRESS", "TIELINE_KEY_FILE", "TIELINE_LOG_FORMAT"]
    assert {name: image[name] for name in both} == {name: compose[name] for name in both}


def test_any_command_of_tieline_is_a_command_of_the_image() -> None:
    assert of(TIELINE, "ENTRYPOINT") == ['["tieline"]']


def test_the_image_asks_its_own_process_whether_it_is_ready() -> None:
    (check,) = of(TIELINE, "HEALTHCHECK")
    assert check.endswith('CMD ["tieline-ready"]')
    assert any(each.endswith("deploy/ready.py /usr/local/bin/tieline-ready") for each in of(TIELINE, "COPY"))
