"""A database is renamed where a continuous query names it, and nothing else is."""

import pytest

from copying.metadata import tokens


def query(rest: str) -> str:
    """A continuous query of the database `db`."""
    return "".join(("CREATE CONTINUOUS QUERY q ON db ", rest))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BEGIN SELECT mean(v) INTO db.p.m FROM db.p.n END", 'INTO "new".p.m FROM "new".p.n'),
        (
            'BEGIN SELECT mean("db") INTO "db"."p"."db" FROM "db"."db"."db" END',
            '"new"."p"."db" FROM "new"."db"."db"',
        ),
        ("BEGIN SELECT mean(v) INTO db..m FROM db..n END", 'INTO "new"..m FROM "new"..n'),
        ("BEGIN SELECT mean(v) INTO db.m FROM db.n END", "INTO db.m FROM db.n"),
        (
            "BEGIN SELECT mean(v) INTO db.p.:MEASUREMENT FROM db.p./db.p.m/ END",
            '"new".p.:MEASUREMENT FROM "new".p./db.p.m/',
        ),
        ("BEGIN SELECT mean(v) INTO m FROM /db.p.m/, db.p.m, db END", 'FROM /db.p.m/, "new".p.m, db'),
        (r"BEGIN SELECT mean(v) INTO m FROM n WHERE t =~ /\\/ FROM db.p.m/ END", r"=~ /\\/ FROM db.p.m/"),
        ("BEGIN SELECT mean(v) INTO m FROM n WHERE t = ' FROM db.p.m' END", "t = ' FROM db.p.m'"),
        (r"BEGIN SELECT mean(v) INTO m FROM n WHERE t = '\' FROM db.p.m' END", r"t = '\' FROM db.p.m'"),
        ("BEGIN SELECT a / b INTO m FROM db.p.n WHERE c / 2 > 1 END", 'FROM "new".p.n WHERE c / 2'),
        ("BEGIN SELECT a::field / b INTO m FROM db.p.n END", 'a::field / b INTO m FROM "new".p.n'),
        (
            "BEGIN SELECT sum(x) INTO m FROM (SELECT v AS x FROM db.p.a, (SELECT v FROM db.p.b)), db.p.c END",
            'FROM (SELECT v AS x FROM "new".p.a, (SELECT v FROM "new".p.b)), "new".p.c',
        ),
        ("RESAMPLE EVERY 1h FOR 2h BEGIN SELECT mean(v) INTO m FROM db.p.n END", 'FROM "new".p.n'),
        ("begin select mean(v) into db.p.m from db.p.n end", 'into "new".p.m from "new".p.n'),
        ("BEGIN SELECT mean(v) INTO Db.p.m FROM db_.p.n END", "INTO Db.p.m FROM db_.p.n"),
    ],
)
def test_a_database_is_renamed_where_it_is_named_and_nothing_else_is(text: str, expected: str) -> None:
    """Not fields, policies, measurements, texts and regexes that are called like it."""
    renamed = tokens.renamed(query(text), {"db": "new"})
    assert renamed.startswith('CREATE CONTINUOUS QUERY q ON "new" ')
    assert expected in renamed
    assert tokens.meaning(tokens.renamed(renamed, {"new": "db"})) == tokens.meaning(query(text))


def test_names_in_quotes_are_read_and_written_with_their_escapes() -> None:
    """Quotes, backslashes and newlines may stand in them."""
    text = (
        r'CREATE CONTINUOUS QUERY "a\"b" ON "d\"b\\\n" BEGIN SELECT mean(v) INTO "d\"b\\\n".p.m FROM "d\"b".p.m '
    )
    assert tokens.databases(text) == ('d"b\\\n', 'd"b')
    assert r'ON "x\"y" BEGIN SELECT mean(v) INTO "x\"y".p.m FROM "d\"b".p.m' in tokens.renamed(
        text, {'d"b\\\n': 'x"y'}
    )


def test_all_databases_of_a_query_are_found_and_those_that_it_writes_to() -> None:
    """Its own comes first; each is renamed by itself, also where names are exchanged."""
    text = query("BEGIN SELECT mean(v) INTO other.p.m FROM db.p.n, third.p.n END")
    assert tokens.databases(text) == ("db", "other", "third")
    assert tokens.written(text) == ("other",)
    assert tokens.databases(tokens.renamed(text, {"db": "other", "other": "db"})) == ("other", "db", "third")


@pytest.mark.parametrize(
    "text", ["", "SELECT v FROM m", "CREATE CONTINUOUS QUERY q", "CREATE CONTINUOUS QUERY q ON 'db'"]
)
def test_what_is_no_continuous_query_is_refused(text: str) -> None:
    """Rather than renamed in part."""
    with pytest.raises(tokens.NotAQuery):
        tokens.renamed(text, {"db": "new"})


def test_a_number_that_the_server_has_cut_is_noticed() -> None:
    """Not where it is a part of another number, a text or a name."""
    assert tokens.has_lost_a_number(query("BEGIN SELECT mean(v) INTO m FROM n WHERE v < 0.000 END"))
    for text in ("v < 10.000", "v < 0.0001", "t = '0.000'", '"0.000" > 1'):
        assert not tokens.has_lost_a_number(
            query("BEGIN SELECT mean(v) INTO m FROM n WHERE ? END".replace("?", text))
        )
