# SPDX-License-Identifier: Apache-2.0
"""Takes into the site what its pages lead to outside docs/, so that one text serves a forge and the site.

README.md is the first page. A file that a page links to has the path that it has in the repository: Markdown becomes
a page, whose links are followed too, a folder its README.md, and anything else is copied as it is.
"""
import pathlib
import posixpath
import re

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parents[2]
# A target of a link, and code, in which there are none.
LINK = re.compile(r"^```.*?^```$|`[^`\n]*`|(?<=\]\()(?P<target>[^)\s]+)(?=\))", re.S | re.M)
# Pages of the navigation that no other page needs to lead to.
FIRST = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "examples/README.md"]


def to_site(path):
    """The path in the site of one in the repository."""
    return "index.md" if path == "README.md" else path.removeprefix("docs/")


def resolve(page, target):
    """The path in the repository that a link of a page leads to; none where it leads elsewhere."""
    if re.match(r"[a-z]+:|#", target):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target.partition("#")[0]))
    if (ROOT / path).is_dir():
        path += "/README.md"
    if not (ROOT / path).is_file():
        raise PluginError(f"{page}: {target} leads to nothing")
    return path


def find_linked(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    found = (resolve(page, link["target"]) for link in LINK.finditer(text) if link["target"])
    return [path for path in found if path]


def on_files(files, config):
    sources = {f"docs/{file.src_uri}" for file in files if file.src_uri.endswith(".md")}
    waiting = [*sorted(sources), *FIRST]
    seen = set(waiting)
    while waiting:
        path = waiting.pop()
        if path not in sources and not path.startswith("docs/"):
            if files.get_file_from_path(to_site(path)):
                raise PluginError(f"{path} has the place of a page of docs/")
            files.append(File.generated(config, to_site(path), abs_src_path=str(ROOT / path)))
        if path.endswith(".md"):
            new = set(find_linked(path)) - seen
            seen |= new
            waiting += sorted(new)
    files.append(File.generated(config, "site.css", abs_src_path=str(ROOT / "tools/docs/site.css")))
    config["site_sources"] = {to_site(path): path for path in seen}
    return files


def on_page_markdown(markdown, page, config, **_):
    source = config["site_sources"][page.file.src_uri]

    def rewrite(link):
        target = link["target"]
        path = target and resolve(source, target)
        if not path:
            return link[0]
        relative = posixpath.relpath(to_site(path), posixpath.dirname(page.file.src_uri) or ".")
        return relative + target[len(target.partition("#")[0]) :]

    markdown = LINK.sub(rewrite, markdown)
    # Words after the first one of a fence are for the tests.
    return re.sub(r"^```schema .*$", "```", markdown, flags=re.M)
