"""The home page tells what the hosts answered, and nothing else."""

import functools
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROLE = Path(__file__).parents[3] / "roles/home"
LINKS = [
    {"title": "Graphs <all>", "url": "grafana/?a=1&b=2", "description": 'the "why"', "container": "grafana"},
    {"title": "Elsewhere", "url": "https://elsewhere.example.com/"},
]


def container(name, service=None, stand_in=False, **changing):
    """What service_info tells of a container, of which some changes by itself."""
    return {
        "service": service or name,
        "container": name,
        "version": f"{len(name)}.0",
        "stand_in": stand_in,
        "health": "healthy",
        "since": "2026-11-22T08:00:00Z",
        "addresses": ["10.0.0.1"],
        **changing,
    }


ANSWERS = [
    {
        "item": "one",
        "services": [container("redis"), container("redis-exporter", "redis"), container("frontend-blue-2")],
    },
    {"item": "two", "services": [container("grafana", stand_in=True), container("prometheus")]},
]


@functools.cache
def load(name):
    return DataLoader().load_from_file(str(ROLE / name), trusted_as_template=True)


def files(answers=ANSWERS, **variables):
    """The files that the role writes, by their names."""
    task = next(task for task in load("tasks/main.yml") if "protostar.platform.host_files" in task)
    context = {
        **load("defaults/main.yml"),
        **load("vars/main.yml"),
        "groups": {"main": ["one"], "sub": ["two"]},
        "ansible_search_path": [str(ROLE)],
        "home_links": LINKS,
        "__home_info": {"results": answers},
        **variables,
    }
    rendered = Templar(loader=DataLoader(), variables=context).template(task["protostar.platform.host_files"])
    return {Path(file["dest"]).name: file for file in rendered["files"]}


class Page(HTMLParser):
    """The parts of a page that the tests ask for."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.rows, self._open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1] and data.strip():
            self.rows[-1][-1] += data.strip() + " "

    def found(self, name, attribute):
        return [attributes[attribute] for tag, attributes in self.tags if tag == name and attribute in attributes]


def page(*arguments, **variables):
    return Page(files(*arguments, **variables)["index.html"]["content"])


def test_every_container_has_a_row_with_its_service_and_version():
    rows = [[cell.strip() for cell in row[:3]] for row in page().rows if row[0].strip() != "Container"]
    expected = [
        [item["container"] + " stand-in" * item["stand_in"], item["service"], item["version"]]
        for answer in ANSWERS
        for item in answer["services"]
    ]
    assert rows == expected


def test_the_drawing_has_the_same_containers():
    drawing = files()["index.html"]["content"].partition("<svg")[2].partition("</svg>")[0]
    for answer in ANSWERS:
        for name in [answer["item"], *(item["container"] for item in answer["services"])]:
            assert re.search(f">{name}</text>", drawing), name


def test_boxes_of_the_drawing_lie_within_it_and_not_on_each_other():
    many = [{**answer, "services": [container(f"c{number}") for number in range(20)]} for answer in ANSWERS]
    text = files(many)["index.html"]["content"]
    height = int(re.search(r'viewBox="0 0 400 (\d+)"', text)[1])
    boxes = [
        (int(top), int(top) + int(size)) for top, size in re.findall(r'y="(\d+)" width="342" height="(\d+)"', text)
    ]
    assert len(boxes) == len(many)
    assert all(end < following for (_, end), (following, _) in zip(boxes, [*boxes[1:], (height, 0)], strict=True))


@pytest.mark.parametrize(
    "answer", [{"item": "one", "unreachable": True}, {"item": "one", "failed": True, "msg": "no engine"}]
)
def test_a_host_without_answer_is_on_the_page_and_says_so(answer):
    text = files([answer, ANSWERS[1]])["index.html"]["content"]
    assert ">one</h2>" in text
    assert "did not answer at this deploy" in text
    assert "did not answer" not in files()["index.html"]["content"]


def test_what_changes_by_itself_is_not_on_the_page():
    later = [
        {**answer, "services": [{**item, "health": "starting", "since": "2027", "addresses": []} for item in services]}
        for answer in ANSWERS
        for services in [answer["services"]]
    ]
    assert files(later) == files()


def test_each_place_knows_the_series_that_tells_its_state():
    series = page().found("tr", "data-series")
    assert series == [
        "redis_up main redis",
        "up main redis",
        "up main frontend",
        "up sub grafana",
        "up sub prometheus",
    ]
    assert page().found("g", "data-series") == series


def test_what_the_inventory_says_is_text_not_markup():
    text = files(home_title="A & <b>B</b>")["index.html"]["content"]
    assert "<h1>A &amp; &lt;b&gt;B&lt;/b&gt;</h1>" in text
    assert "Graphs &lt;all&gt;" in text
    links = Page(text).found("a", "href")
    assert links == [*(link["url"] for link in LINKS), LINKS[0]["url"]]


def test_the_page_keeps_to_its_own_policy():
    found = page()
    assert not [attributes for _, attributes in found.tags if attributes.keys() & {"style", "onclick", "onload"}]
    assert [tag for tag, _ in found.tags if tag in ("style", "iframe", "img", "form")] == []
    assert found.found("script", "src") == ["home.js"]
    assert [url for url in found.found("link", "href") if ":" in url] == ["data:,"]
    styles = (ROLE / "files/home.css").read_text()
    assert "url(" not in styles
    assert "@import" not in styles


def test_without_prometheus_there_is_no_script():
    written = files(home_prometheus_url="")
    assert written["home.js"]["state"] == "absent"
    assert Page(written["index.html"]["content"]).found("script", "src") == []
    assert files()["home.js"]["state"] == "present"
