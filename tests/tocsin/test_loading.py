"""What a user is told when the configuration is wrong, and which source goes over which."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from tocsin.config.load import load_settings
from tocsin.config.located import ConfigurationError


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Broker(Strict):
    bootstrap_servers: str = "localhost:9092"
    security_protocol: str = "PLAINTEXT"
    password: SecretStr | None = None


class Sink(Strict):
    url: str
    token: SecretStr | None = None


class Web(Strict):
    port: int = Field(8080, ge=0, le=65535)
    hosts: list[str] = []
    timeout: float | None = 3.0


class State(Strict):
    key: SecretStr | None = None


class Tree(Strict):
    kafka: Broker = Broker()
    http: Web = Web()
    state: State = State()
    sinks: list[Sink] = []


def write(folder: Path, text: str) -> Path:
    file = folder / "tocsin.yaml"
    file.write_text(text)
    return file


def load(folder: Path, text: str, **environment: str) -> Tree:
    return load_settings(Tree, write(folder, text), environment)


def reasons(folder: Path, text: str, **environment: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(folder, text, **environment)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_without_a_file_the_defaults_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_settings(Tree, None, {}) == Tree()


def test_tocsin_yaml_in_the_current_folder_is_found(tmp_path, monkeypatch):
    write(tmp_path, "http: {port: 1}")
    monkeypatch.chdir(tmp_path)
    assert load_settings(Tree, None, {}).http.port == 1


def test_a_variable_names_another_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "other.yaml"
    other.write_text("http: {port: 2}")
    assert load_settings(Tree, None, {"TOCSIN_CONFIG": str(other)}).http.port == 2


def test_a_variable_that_names_no_file_says_so(tmp_path):
    with pytest.raises(ConfigurationError, match=r"TOCSIN_CONFIG: names missing\.yaml, which is no file"):
        load_settings(Tree, None, {"TOCSIN_CONFIG": "missing.yaml"})


def test_an_empty_file_means_the_defaults(tmp_path):
    assert load(tmp_path, "# nothing yet\n") == Tree()


def test_the_environment_goes_over_the_file(tmp_path):
    settings = load(tmp_path, "http: {port: 1, timeout: 5}", TOCSIN_HTTP__PORT="2")
    assert (settings.http.port, settings.http.timeout) == (2, 5)


def test_kafka_bootstrap_is_understood_and_the_long_name_goes_over_it(tmp_path):
    text = "kafka: {bootstrap_servers: file}"
    assert load(tmp_path, text, KAFKA_BOOTSTRAP="short").kafka.bootstrap_servers == "short"
    both = load(tmp_path, text, KAFKA_BOOTSTRAP="short", TOCSIN_KAFKA__BOOTSTRAP_SERVERS="long")
    assert both.kafka.bootstrap_servers == "long"


def test_an_empty_variable_counts_as_not_set(tmp_path):
    assert load(tmp_path, "http: {port: 1}", TOCSIN_HTTP__PORT="").http.port == 1


@pytest.mark.parametrize("text", ["a,b", "[a, b]", '["a", "b"]'])
def test_a_variable_may_hold_a_list(tmp_path, text):
    assert load(tmp_path, "", TOCSIN_HTTP__HOSTS=text).http.hosts == ["a", "b"]


def test_a_variable_may_hold_a_whole_section_and_a_longer_one_goes_over_it(tmp_path):
    settings = load(tmp_path, "", TOCSIN_HTTP='{"port": 1, "timeout": 9}', TOCSIN_HTTP__PORT="2")
    assert (settings.http.port, settings.http.timeout) == (2, 9)


def test_a_variable_may_say_none(tmp_path):
    assert load(tmp_path, "", TOCSIN_HTTP__TIMEOUT="none").http.timeout is None


def test_variables_of_other_meaning_are_left_alone(tmp_path):
    assert load(tmp_path, "", TOCSIN_JAVA_HOME="/x", TOCSIN_DATA="y", PATH="z") == Tree()


def test_a_misspelt_variable_names_the_nearest_setting(tmp_path):
    assert reasons(tmp_path, "", TOCSIN_HTPP__PORT="1") == [
        "environment variable TOCSIN_HTPP__PORT: htpp.port: no such setting; did you mean TOCSIN_HTTP__PORT?"
    ]


def test_a_wrong_variable_is_named(tmp_path):
    (reason,) = reasons(tmp_path, "http:\n  port: 1\n", TOCSIN_HTTP__PORT="many")
    assert reason.startswith("environment variable TOCSIN_HTTP__PORT: http.port: input should be a valid integer")


def test_an_unknown_key_has_its_line_and_the_nearest_known_one(tmp_path):
    assert reasons(tmp_path, "# first line\nkafka:\n  bootstrap_server: x\n") == [
        "tocsin.yaml:3:3: kafka.bootstrap_server: unknown key; did you mean `bootstrap_servers`?"
    ]


def test_a_key_in_the_wrong_place_names_the_right_one(tmp_path):
    (reason,) = reasons(tmp_path, "bootstrap_servers: x\n")
    assert reason.endswith("unknown key here; did you mean `kafka.bootstrap_servers`?")


def test_a_key_like_no_other_still_names_its_nearest(tmp_path):
    (reason,) = reasons(tmp_path, "http: {zzzz: 1}\n")
    assert "the nearest known one is" in reason
    assert "(all: port, hosts, timeout)" in reason


def test_a_wrong_value_has_its_own_line_and_column(tmp_path):
    (reason,) = reasons(tmp_path, "http:\n  hosts: []\n  port: 99999\n")
    assert reason == "tocsin.yaml:3:9: http.port: input should be less than or equal to 65535"


def test_a_wrong_item_of_a_list_has_its_own_line(tmp_path):
    (reason,) = reasons(tmp_path, "http:\n  hosts:\n    - a\n    - [b]\n")
    assert reason.startswith("tocsin.yaml:4:7: http.hosts.1: input should be a valid string")


def test_every_problem_is_told_at_once(tmp_path):
    assert len(reasons(tmp_path, "http: {port: x, timeout: y}\nkafak: {}\n")) == 3


def test_a_missing_key_says_how_to_give_it(tmp_path):
    (tmp_path / "t").write_text("x")
    (reason,) = reasons(tmp_path, "sinks:\n  - token_file: t\n")
    assert reason.startswith("tocsin.yaml:2:5: sinks.0.url: is required")


def test_a_section_without_keys_says_what_belongs_there(tmp_path):
    (reason,) = reasons(tmp_path, "http: yes\n")
    assert reason == "tocsin.yaml:1:7: http: should hold keys and values (port, hosts, timeout)"


def test_bad_yaml_has_its_line(tmp_path):
    (reason,) = reasons(tmp_path, "http:\n  port: [1\nkafka: {}\n")
    assert reason.startswith("tocsin.yaml:3:")


def test_a_python_tag_is_refused(tmp_path):
    (reason,) = reasons(tmp_path, "http: !!python/object/apply:os.system [ls]\n")
    assert reason.startswith("tocsin.yaml:1:7: could not determine a constructor")


def test_a_repeated_key_is_refused(tmp_path):
    assert reasons(tmp_path, "http: {}\nkafka: {}\nhttp: {}\n") == ["tocsin.yaml:3:1: http: written twice; keep one"]


def test_a_value_that_contains_itself_is_refused(tmp_path):
    (reason,) = reasons(tmp_path, "http: &a\n  hosts: [*a]\n")
    assert "contains itself" in reason


def test_anchors_and_merge_keys_work(tmp_path):
    text = "sinks:\n  - &first {url: a}\n  - {<<: *first, url: b}\n"
    assert [sink.url for sink in load(tmp_path, text).sinks] == ["a", "b"]


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    (reason,) = reasons(tmp_path, "- a\n")
    assert "must hold keys and values" in reason


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"nowhere.yaml: cannot be read: No such file"):
        load_settings(Tree, tmp_path / "nowhere.yaml", {})


def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path):
    (reason,) = reasons(tmp_path, "kafka:\n  password: hunter2\n")
    assert reason == (
        "tocsin.yaml:2:3: kafka.password: a secret must not be written in this file: set the environment "
        "variable TOCSIN_KAFKA__PASSWORD, or write `password_file: PATH` to read it from a file of its own"
    )


def test_a_secret_in_a_list_is_refused_too(tmp_path):
    (reason,) = reasons(tmp_path, "sinks:\n  - url: a\n    token: hunter2\n")
    assert "TOCSIN_SINKS__0__TOKEN" in reason
    assert "hunter2" not in reason


def test_a_secret_comes_from_the_environment(tmp_path):
    settings = load(tmp_path, "sinks:\n  - url: a\n", TOCSIN_KAFKA__PASSWORD="123", TOCSIN_SINKS__0__TOKEN="t")
    assert settings.kafka.password.get_secret_value() == "123"
    assert settings.sinks[0].token.get_secret_value() == "t"


def test_the_state_key_has_a_short_name(tmp_path):
    assert load(tmp_path, "", TOCSIN_STATE_KEY="k").state.key.get_secret_value() == "k"


def test_a_secret_comes_from_a_file_beside_the_configuration(tmp_path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "password").write_text("hunter2\n")
    settings = load(tmp_path, "kafka:\n  password_file: secrets/password\n")
    assert settings.kafka.password.get_secret_value() == "hunter2"


def test_a_secret_comes_from_a_file_named_by_the_environment(tmp_path):
    (tmp_path / "password").write_text("hunter2\n")
    settings = load(tmp_path, "", TOCSIN_KAFKA__PASSWORD_FILE=str(tmp_path / "password"))
    assert settings.kafka.password.get_secret_value() == "hunter2"


def test_a_secret_in_the_environment_goes_over_one_from_a_file(tmp_path):
    (tmp_path / "password").write_text("file")
    settings = load(tmp_path, "kafka: {password_file: password}", TOCSIN_KAFKA__PASSWORD="environment")
    assert settings.kafka.password.get_secret_value() == "environment"


def test_a_secret_file_that_is_missing_is_named_with_its_line(tmp_path):
    (reason,) = reasons(tmp_path, "kafka:\n  password_file: nowhere\n")
    assert reason.startswith("tocsin.yaml:2:18: kafka.password_file: cannot read the secret from nowhere: No such")


def test_a_secret_shows_in_no_dump(tmp_path):
    settings = load(tmp_path, "", TOCSIN_KAFKA__PASSWORD="hunter2")
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump_json()}"
