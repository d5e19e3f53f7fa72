"""Lists come in pages, and filters are understood or refused."""

import pytest
from compute_caller import REGION


@pytest.fixture
def names(google):
    """Five addresses; the even ones are labelled."""
    for number in range(5):
        google.address(f"a{number}")
        if number % 2 == 0:
            path = f"regions/{REGION}/addresses/a{number}"
            fingerprint = google.get(path)["labelFingerprint"]
            labels = {"owner": "me", "n-o": str(number)}
            google.do("POST", f"{path}/setLabels", {"labels": labels, "labelFingerprint": fingerprint})
    return [f"a{number}" for number in range(5)]


def walk(google, path, **query):
    """Return the pages of a list, as names."""
    pages, token = [], None
    while True:
        answer = google.get(path, **query, pageToken=token)
        pages.append([item["name"] for item in answer.get("items", [])])
        token = answer.get("nextPageToken")
        if not token:
            return pages


def test_a_list_has_pages_even_if_nobody_asks_for_them(google, names):
    assert walk(google, f"regions/{REGION}/addresses") == [names[:2], names[2:4], names[4:]]


@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_pages_are_as_large_as_asked_for_but_no_larger_than_google_likes(fake, google, names, size):
    fake.page_size = 500
    pages = walk(google, f"regions/{REGION}/addresses", maxResults=size)
    assert [name for page in pages for name in page] == names
    assert {len(page) for page in pages[:-1]} <= {size}


def test_an_aggregated_list_has_pages_and_says_where_there_is_nothing(google, names):
    seen, token = [], None
    while True:
        answer = google.get("aggregated/addresses", pageToken=token)
        seen += [one["name"] for place in answer["items"].values() for one in place.get("addresses", [])]
        assert answer["items"]["regions/us-central1"]["warning"]["code"] == "NO_RESULTS_ON_PAGE"
        token = answer.get("nextPageToken")
        if not token:
            break
    assert seen == names


def test_a_token_of_nothing_is_refused(google):
    assert "'pageToken'" in google.refused("GET", "global/networks", pageToken="next!")[2]


def test_a_list_without_anything_has_no_items(google):
    assert "items" not in google.get(f"regions/{REGION}/addresses")


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("name=a1", ["a1"]),
        ('name = "a1"', ["a1"]),
        ("name!=a1", ["a0", "a2", "a3", "a4"]),
        ("labels.owner=me", ["a0", "a2", "a4"]),
        ("labels.owner:*", ["a0", "a2", "a4"]),
        ("labels.n-o=2", ["a2"]),
        ("(labels.owner=me) (name=a2)", ["a2"]),
        ("labels.owner=me AND name=a4", ["a4"]),
        ("name eq a[12]", ["a1", "a2"]),
        ("name ne a[12]", ["a0", "a3", "a4"]),
        ("status=RESERVED", ["a0", "a1", "a2", "a3", "a4"]),
        ("networkTier=PREMIUM", []),
    ],
)
def test_a_filter_chooses(fake, google, names, expression, wanted):
    fake.page_size = 500
    assert walk(google, f"regions/{REGION}/addresses", filter=expression) == [wanted]


@pytest.mark.parametrize(
    "expression", ["a1", "name==", "name=a OR", "name>a", "=a1", "(name=a", "name=a)", "name=a AND"]
)
def test_a_filter_that_is_not_understood_is_refused(google, names, expression):
    assert "'filter'" in google.refused("GET", f"regions/{REGION}/addresses", filter=expression)[2]


def test_order_is_not_implemented_and_says_so(google):
    assert google.refused("GET", "global/networks", orderBy="name")[0] == 501
