"""`tocsin policy` as its users type it, against Apache Kafka itself."""

from __future__ import annotations

import json

import yaml

PUMPS = """\
policies:
  - name: pumps
    source: "pump-*"
    default: {fire_after: 60, gates: {direction: above}}
    owner: plant-a
  - name: fans
    source_re: "fan-[12]"
    priority: 3
"""


def test_a_policy_is_applied_changed_and_rolled_back_and_tells_its_history(tocsin):
    file = tocsin.folder / "pumps.yaml"
    file.write_text(PUMPS)
    first = tocsin("policy", "apply", "pumps.yaml", "--author", "ann", "--reason", "filling")
    assert first.stdout == "pumps version 1 is applied\nfans version 1 is applied\n", first.stderr
    file.write_text(PUMPS.replace("60", "90"))
    second = tocsin("policy", "apply", "pumps.yaml", "--author", "bob")
    assert second.stdout == "pumps version 2 is applied\nfans is unchanged\n"
    assert tocsin("policy", "rollback", "pumps", "--author", "cem").stdout == (
        "pumps version 3 is applied: as version 1\n"
    )
    history = json.loads(tocsin("policy", "history", "pumps", "--json").stdout)
    assert [(one["author"], one.get("reason")) for one in history] == [
        ("ann", "filling"),
        ("bob", None),
        ("cem", "back to version 1"),
    ]
    assert [record.key for record in tocsin.records("policies")] == [b"pumps@1", b"fans@1", b"pumps@2", b"pumps@3"]


def test_what_is_shown_can_be_applied_again(tocsin):
    (tocsin.folder / "pumps.yaml").write_text(PUMPS)
    tocsin("policy", "apply", "pumps.yaml")
    shown = tocsin("policy", "show", "pumps").stdout
    assert yaml.safe_load(shown)["policies"][0] == yaml.safe_load(PUMPS)["policies"][0]
    (tocsin.folder / "again.yaml").write_text(shown)
    assert tocsin("policy", "apply", "again.yaml").stdout == "pumps is unchanged\n"
    assert tocsin("policy", "withdraw", "pumps").stdout == "pumps is withdrawn, with version 2\n"
    assert [one["name"] for one in json.loads(tocsin("policy", "list", "--json").stdout)] == ["fans"]


def test_what_is_wrong_is_said_with_its_place_and_nothing_is_sent(tocsin):
    (tocsin.folder / "bad.yaml").write_text(
        "policies:\n  - name: a\n    sorce: x\n  - source: y\n    default:\n      fire_p: 7\n"
    )
    done = tocsin("policy", "apply", "bad.yaml")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "tocsin: bad.yaml:3:5: policies.0.sorce: unknown key; did you mean `source`?",
        "tocsin: bad.yaml:4:5: policies.1.name: is required: write it in the file",
        "tocsin: bad.yaml:6:15: policies.1.default.fire_p: input should be less than 1",
    ]
    assert tocsin.records("policies") == []
