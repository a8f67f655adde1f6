"""Every Python block of the documentation runs, or says `no-run`; every link and path leads to a file."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (ROOT / "docs", ROOT / "examples")
SWITCH = {"interpreted": "0", "compiled": "1"}
PAGES = [*sorted(ROOT.glob("*.md")), *(page for f in FOLDERS for page in sorted(f.rglob("*.md")))]


def script(page: str) -> str:
    """Return the Python blocks of a page. Other lines become empty, so line numbers stay true."""
    lines, opened = [], None
    for line in page.splitlines():
        fence = line.lstrip().startswith("```")
        if fence and opened is None:
            opened = line.lstrip().removeprefix("```").split() or ["text"]
            if opened == ["python"] and line[0] == " ":
                raise ValueError(f"start a Python block at the left margin: {line!r}")
        elif fence:
            opened = None
        lines.append(line if opened == ["python"] and not fence else "")
    return "\n".join(lines).rstrip() + "\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_blocks_run(page: Path, tmp_path: Path, both_loops: str) -> None:
    code = script(page.read_text(encoding="utf-8"))
    if code.isspace():
        return  # prose only
    (tmp_path / page.name).with_suffix(".py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", (tmp_path / page.name).with_suffix(".py")],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg", "MINIGRAD_COMPILE": SWITCH[both_loops]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"a code block of {page.name} fails:\n{done.stderr}"


def links(page: Path) -> list[str]:
    """List the links of a page to files. Code is left out: f[i](x) looks like a link."""
    prose = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)#\s]+)", prose) if "://" not in link]


def broken_links(page: Path) -> list[str]:
    """List the links to files that are not there."""
    return [link for link in links(page) if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def paths(page: Path) -> list[str]:
    """List the files and folders that a page names; a page that is history names those of its day."""
    text = page.read_text(encoding="utf-8")
    if "Status: superseded" in text:
        return []
    folders = "minigrad|nn|kernels|tests|scripts|examples|docs|benchmarks"
    return re.findall(rf"`((?:{folders})/[\w./-]*)", text)


@pytest.mark.skipif(not (ROOT / "kernels").is_dir(), reason="outside the checkout: no sources here")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_are_there(page: Path) -> None:
    assert [path for path in paths(page) if not (ROOT / path).exists()] == []


def test_a_file_that_is_not_there_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("See `nn/gone.py`, `nn/`, nn/other.py and `runs/`.")
    assert paths(page) == ["nn/gone.py", "nn/"]
    page.write_text("Status: superseded by another. See `nn/gone.py`.")
    assert paths(page) == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page.suffix == ".md" and page not in reached:
            reached.add(page)
            waiting += [page.parent / link for link in links(page)]
    assert {page.resolve() for page in PAGES} - reached == set()


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\na[1](b)\n```\n`c[2](d)` [`e`](page.md) [f](g.md#h) [i](https://j.k)")
    assert broken_links(page) == ["g.md"]


def test_the_pages_are_found() -> None:
    assert {"README.md", "CONTRIBUTING.md", "architecture.md"} <= {page.name for page in PAGES}
    assert script((ROOT / "README.md").read_text(encoding="utf-8")).count("\n") > 20


def test_only_python_blocks_are_taken() -> None:
    page = """text
```python
x = 1
```
```python no-run
x = 1 / 0
```
```sh
rm x
```
```
plain
```
```python
print(x)
```
"""
    assert script(page).split() == ["x", "=", "1", "print(x)"]
    assert script(page).splitlines().index("x = 1") == page.splitlines().index("x = 1")


def test_an_indented_python_block_is_refused() -> None:
    with pytest.raises(ValueError, match="left margin"):
        script("- item\n  ```python\n  x = 1\n  ```")
