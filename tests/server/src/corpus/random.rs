//! SELECTs put together at random: a source, some columns and conditions, at times groups or windows, and something
//! around it.

use super::Case;
use super::calls::expand;
use super::generator::Generator;

/// What delivers rows; each has a row `r` of reviews.
const SOURCES: [&str; 16] = [
    "reviews AS r",
    "reviews AS r",
    "reviews AS r",
    "reviews_parts AS r",
    "reviews_view AS r",
    "reviews_matview AS r",
    "reviews_remote AS r",
    "reviews_one AS r",
    "reviews_empty AS r",
    "reviews AS r JOIN products AS p ON p.id = r.product_id",
    "reviews AS r LEFT JOIN labels AS l ON l.sentiment = @label(@text(r)) AND l.weight > 0",
    "(SELECT * FROM reviews WHERE stars > 2 OFFSET 0) AS r",
    "(SELECT * FROM reviews AS i WHERE @label(@text(i)) <> 'neutral') AS r",
    "(SELECT * FROM reviews UNION ALL SELECT * FROM reviews_one) AS r",
    "reviews_parts AS r JOIN reviews_judged AS j ON j.id = r.id AND j.rating > 2",
    "generate_series(1, 90) AS n JOIN reviews AS r ON r.id = n * 3",
];

const COLUMNS: [&str; 10] = [
    "@any(@text(r))",
    "@any(@text(r))",
    "@any(r.body)",
    "@label(@text(r)) || '/' || r.lang",
    "round((@number(@text(r)) + 1)::numeric, 4)",
    "CASE WHEN r.stars > 2 THEN @label(@text(r)) ELSE r.lang END",
    "coalesce(@label(r.body), 'blank')",
    "predict_class(r.body, r.model)",
    "(SELECT max(weight) FROM labels AS x WHERE x.sentiment = @label(r.body))",
    "r.stars",
];

const CONDITIONS: [&str; 11] = [
    "@label(@text(r)) = 'positive'",
    "@label(@text(r)) <> 'negative'",
    "@number(@text(r)) > 1",
    "@any(@text(r)) IS NOT NULL",
    "r.lang IN ('en', 'de')",
    "r.stars > 2",
    "r.id % 3 > 0",
    "(r.lang = 'fr' OR @label(@text(r)) = 'positive')",
    "NOT (@number(r.body) BETWEEN 0 AND 2)",
    "EXISTS (SELECT FROM labels AS x WHERE x.sentiment = @label(@text(r)))",
    "length(@label(@text(r))) > 4",
];

const KEYS: [&str; 5] = ["r.lang", "r.stars", "@label(@text(r))", "@any(r.body)", "@number(@text(r)) > 1"];

const AGGREGATES: [&str; 8] = [
    "count(*)",
    "count(@any(@text(r)))",
    "max(@label(@text(r)))",
    "round(avg(@number(@text(r)))::numeric, 3)",
    "count(*) FILTER (WHERE @label(@text(r)) = 'positive')",
    "count(DISTINCT @label(@text(r)))",
    "string_agg(@label(r.body), ',' ORDER BY r.id)",
    "min(r.id)",
];

const WINDOWS: [&str; 5] = [
    "rank() OVER (ORDER BY @number(@text(r)))",
    "count(*) OVER (PARTITION BY @label(@text(r)))",
    "sum(@number(@text(r))::numeric) OVER (PARTITION BY r.lang)",
    "max(@label(r.body)) OVER (ORDER BY r.id ROWS 3 PRECEDING)",
    "row_number() OVER (PARTITION BY @label(r.body) ORDER BY r.id)",
];

/// Any query.
pub fn select(generator: &mut Generator) -> Case {
    let query = match generator.below(8) {
        0 | 1 => grouped(generator),
        2 => windowed(generator),
        3 => combined(generator),
        4 => surrounded(generator),
        5 | 6 => return limited(generator),
        _ => {
            let columns = 1 + generator.below(4);
            plain(generator, columns)
        }
    };
    case("mixture", query, generator)
}

fn case(title: &str, query: String, generator: &mut Generator) -> Case {
    let statements = vec![expand(&query, generator)];
    Case { title: title.to_owned(), statements, ordered: false, arbitrary: false }
}

/// Up to `most` of `choices`, with a separator.
fn several(generator: &mut Generator, choices: &[&str], most: usize, separator: &str) -> String {
    let count = 1 + generator.below(most);
    exactly(generator, choices, count, separator)
}

fn exactly(generator: &mut Generator, choices: &[&str], count: usize, separator: &str) -> String {
    let chosen: Vec<&str> = (0..count).map(|_| generator.one_of(choices)).collect();
    chosen.join(separator)
}

fn filter(generator: &mut Generator) -> String {
    if generator.once_in(3) {
        return String::new();
    }
    format!(" WHERE {}", several(generator, &CONDITIONS, 3, " AND "))
}

/// A query of an id and this many columns.
fn plain(generator: &mut Generator, columns: usize) -> String {
    let columns = exactly(generator, &COLUMNS, columns, ", ");
    let distinct = if generator.once_in(4) { "DISTINCT " } else { "" };
    let source = generator.one_of(&SOURCES);
    format!("SELECT {distinct}r.id, {columns} FROM {source}{}", filter(generator))
}

fn grouped(generator: &mut Generator) -> String {
    let keys = if generator.once_in(4) { "@label(@text(r)), r.lang" } else { generator.one_of(&KEYS) };
    let aggregates = several(generator, &AGGREGATES, 3, ", ");
    let source = generator.one_of(&SOURCES);
    let filter = filter(generator);
    let having = if generator.once_in(3) { " HAVING max(@number(@text(r))) > 0" } else { "" };
    // Expanded once for both places, so that the keys are the same expressions.
    let keys = expand(keys, generator);
    let grouping = generator.one_of(&["$", "$", "$", "ROLLUP ($)", "CUBE ($)"]).replace('$', &keys);
    format!("SELECT {keys}, {aggregates} FROM {source}{filter} GROUP BY {grouping}{having}")
}

fn windowed(generator: &mut Generator) -> String {
    let columns = several(generator, &WINDOWS, 2, ", ");
    let more = generator.one_of(&COLUMNS);
    let source = generator.one_of(&SOURCES);
    format!("SELECT r.id, {more}, {columns} FROM {source}{}", filter(generator))
}

fn combined(generator: &mut Generator) -> String {
    let operator = generator.one_of(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL"]);
    let call = expand("@label(@text(r))", generator);
    let (one, other) = (generator.one_of(&SOURCES), generator.one_of(&SOURCES));
    let (where_one, where_other) = (filter(generator), filter(generator));
    format!(
        "SELECT {call}, r.lang FROM {one}{where_one} {operator} SELECT {call}, r.lang FROM {other}{where_other}"
    )
}

/// A query within another one.
fn surrounded(generator: &mut Generator) -> String {
    let inner = format!(
        "SELECT r.id, r.lang, r.body, r.stars, @label(@text(r)) AS answer FROM {}{}",
        generator.one_of(&SOURCES),
        filter(generator)
    );
    let outer = generator.one_of(&[
        "SELECT answer, count(*), max(@number(s.body)) FROM ($) AS s GROUP BY answer",
        "SELECT s.id, @any(@text(s)) FROM ($) AS s WHERE s.answer <> 'neutral'",
        "WITH s AS ($) SELECT s.id, @any(@text(s)), l.weight FROM s LEFT JOIN labels AS l ON l.sentiment = s.answer",
        "WITH s AS MATERIALIZED ($) SELECT s.id, @any(s.answer), s.answer FROM s WHERE @number(@text(s)) > 0",
        "SELECT o.id, @any(@text(o)) FROM reviews AS o WHERE o.id IN (SELECT s.id FROM ($) AS s WHERE s.answer = 'positive')",
        "SELECT p.id, t.* FROM products AS p LEFT JOIN LATERAL (SELECT s.id, @any(s.body) FROM ($) AS s WHERE s.id % 14 = p.id) AS t ON true",
        "SELECT s.id, piece FROM ($) AS s, unnest(@array(s.answer)) AS piece",
        "SELECT DISTINCT s.answer, @any(s.lang) FROM ($) AS s",
    ]);
    outer.replace('$', &inner)
}

/// A query whose rows come in an order, all or some of them.
fn limited(generator: &mut Generator) -> Case {
    let columns = 1 + generator.below(3);
    let mut query = plain(generator, columns);
    // By all columns, since ids repeat in joins.
    let first = 1 + generator.below(columns + 1);
    let direction = generator.one_of(&["", " DESC"]);
    let rest = (1..=columns + 1).filter(|column| *column != first).map(|column| format!(", {column}"));
    query += &format!(" ORDER BY {first}{direction}{}", rest.collect::<String>());
    query += generator.one_of(&[
        "",
        " LIMIT 9",
        " LIMIT 40 OFFSET 5",
        " OFFSET 30",
        " FETCH FIRST 6 ROWS WITH TIES",
    ]);
    Case { ordered: true, ..case("ordered mixture", query, generator) }
}
