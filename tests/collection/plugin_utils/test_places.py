import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.places import mapped

MAC = {"hot": "/Volumes/SSDRAID0/agentic-system", "cold": "/Volumes/FILES/agentic-system"}
LINUX = {"hot": "/home/marc/agentic-system/hot", "cold": "/home/marc/agentic-system/cold"}


@pytest.mark.parametrize(
    ("here", "ours", "theirs", "there"),
    [
        ("/Volumes/SSDRAID0/agentic-system/api", MAC, LINUX, "/home/marc/agentic-system/hot/api"),
        ("/Volumes/SSDRAID0/agentic-system", MAC, LINUX, "/home/marc/agentic-system/hot"),
        ("/Volumes/SSDRAID0/agentic-system2", MAC, LINUX, None),
        ("/tmp", MAC, LINUX, None),
        ("/srv/app/x", {}, {"/srv/app": "/data/app"}, "/data/app/x"),
        ("/srv/app/x", {}, {"/srv": "/a", "/srv/app": "/b"}, "/b/x"),
        ("/anything", {}, {"/": "/mnt/root"}, "/mnt/root/anything"),
        ("/x", {}, {"hot": "/y"}, None),
        ("/Volumes/FILES/agentic-system/a b/{{ c }}", MAC, LINUX, "/home/marc/agentic-system/cold/a b/{{ c }}"),
    ],
)
def test_mapped(here, ours, theirs, there) -> None:
    assert mapped(here, ours, theirs) == there
