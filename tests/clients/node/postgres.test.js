// node-postgres.
"use strict";

const assert = require("node:assert/strict");
const { readFileSync } = require("node:fs");
const { Readable } = require("node:stream");
const { pipeline } = require("node:stream/promises");
const { text } = require("node:stream/consumers");
const { setTimeout: sleep } = require("node:timers/promises");
const test = require("node:test");
const { Client, Pool } = require("pg");
const { from: copyFrom, to: copyTo } = require("pg-copy-streams");
const Cursor = require("pg-cursor");

const TEXTS = `SELECT id, ecommerce_ml.predict_sentiment(body), ecommerce_ml.predict_sentiment_score(body),
    ecommerce_ml.predict_rating(body), ecommerce_ml.predict_class(body), ecommerce_ml.predict_confidence(body),
    ecommerce_ml.predict_probabilities(body) FROM reviews`;
const SLOW = "SELECT avg(ecommerce_ml.predict_sentiment_score(body || n)) FROM reviews, generate_series(1, 100000) AS n";

// The rows of a query as psql showed them; null is NULL.
function expected(name) {
    const lines = readFileSync(`${process.env.EXPECTED}/${name}.tsv`, "utf8").trimEnd().split("\n");
    return lines.slice(1).map((line) => line.split("\t").map((cell) => (cell === "\\N" ? null : cell)));
}

// A bigint comes as a string, a real as a number, jsonb as what it means.
function texts() {
    const number = (cell) => (cell === null ? null : Number(cell));
    return expected("texts").map(([id, sentiment, score, stars, label, confidence, probabilities]) =>
        [id, sentiment, number(score), number(stars), label, number(confidence), JSON.parse(probabilities)]);
}

function check(name, body) {
    test(name, { timeout: 120000 }, async () => {
        const client = new Client({ application_name: "node" });
        await client.connect();
        try {
            await client.query("TRUNCATE inbox");
            await body(client);
        } finally {
            await client.end();
        }
    });
}

const rows = async (client, query, values, more = {}) =>
    (await client.query({ text: query, values, rowMode: "array", ...more })).rows;

async function keptMoods(client, count) {
    await client.query("SELECT ecommerce_ml.refresh_column('inbox', 'mood')");
    const found = await rows(client, `SELECT count(*) FROM inbox WHERE mood_model = 'reviews@1'
        AND mood IS NOT DISTINCT FROM ecommerce_ml.predict_sentiment_score(body)`);
    assert.deepEqual(found, [[String(count)]]);
}

check("answers", async (client) => {
    assert.deepEqual(await rows(client, `${TEXTS} ORDER BY id`), texts());
});

check("numbers in binary", async (client) => {
    const found = await rows(client, "SELECT id, ecommerce_ml.predict_sentiment_score(body) FROM reviews ORDER BY id", [], { binary: true });
    const single = (x) => (x === null ? null : Math.fround(x));
    assert.deepEqual(found.map(([id, score]) => [String(id), single(score)]), texts().map((row) => [row[0], single(row[2])]));
});

check("named statements are prepared", async (client) => {
    for (const row of texts().slice(0, 12)) {
        assert.deepEqual(await rows(client, `${TEXTS} WHERE id = $1`, [row[0]], { name: "texts" }), [row]);
    }
});

check("a prepared statement heeds default_model", async (client) => {
    const ask = async () => (await rows(client, "SELECT ecommerce_ml.predict_sentiment(body) FROM reviews WHERE id <= $1 ORDER BY id", [30], { name: "ask" })).flat();
    const byReviews = texts().slice(0, 30).map((row) => row[1]);
    for (let i = 0; i < 7; i++) assert.deepEqual(await ask(), byReviews);
    await client.query("SET ecommerce_ml.default_model = 'moods'");
    assert.deepEqual(await ask(), expected("moods").slice(0, 30).map((row) => row[1]));
    await client.query("RESET ecommerce_ml.default_model");
    assert.deepEqual(await ask(), byReviews);
});

check("texts and null as parameters", async (client) => {
    const known = new Map(texts().map((row) => [row[0], row[2]]));
    for (const [id, body] of await rows(client, "SELECT id, body FROM reviews WHERE id > 190")) {
        assert.deepEqual(await rows(client, "SELECT ecommerce_ml.predict_sentiment_score($1)", [body]), [[known.get(id)]]);
    }
});

check("an array needs a cast, else it is read as one text with braces", async (client) => {
    const bodies = ["I love it", null, "I hate it"];
    assert.deepEqual(await rows(client, "SELECT ecommerce_ml.predict_sentiment($1::text[])", [bodies]), [[["positive", null, "negative"]]]);
    const [[one]] = await rows(client, "SELECT ecommerce_ml.predict_sentiment($1)", [bodies]);
    const [[whole]] = await rows(client, `SELECT ecommerce_ml.predict_sentiment('{"I love it",NULL,"I hate it"}'::text)`);
    assert.equal(one, whole);
});

check("embeddings are arrays of numbers", async (client) => {
    const found = await rows(client, "SELECT id, ecommerce_ml.embed(body) FROM reviews WHERE id IN (1, 2, 201) ORDER BY id");
    assert.deepEqual(found, expected("embeddings").map(([id, one]) => [id, one && one.slice(1, -1).split(",").map(Number)]));
});

check("rows, and jsonb as a parameter", async (client) => {
    const found = await rows(client, "SELECT id, ecommerce_ml.predict_class(v, 'buyers'), ecommerce_ml.predict_probabilities(v, 'buyers') FROM visits AS v ORDER BY id");
    assert.deepEqual(found, expected("rows").map(([id, label, probabilities]) => [Number(id), label, JSON.parse(probabilities)]));
    for (const [pages, label, confidence] of expected("what_if")) {
        const question = { pages: Number(pages), country: "AT" };
        const answer = await rows(client, "SELECT ecommerce_ml.predict_class($1::jsonb, 'buyers'), ecommerce_ml.predict_confidence($1::jsonb, 'buyers')", [question]);
        assert.deepEqual(answer, [[label, Number(confidence)]]);
        await assert.rejects(client.query("SELECT ecommerce_ml.predict_class($1, 'buyers')", [question]), { code: "42809" });
    }
});

check("summaries", async (client) => {
    const found = await rows(client, "SELECT product_id, (ecommerce_ml.summarize_reviews(body)).* FROM reviews GROUP BY 1 ORDER BY 1");
    const shown = (cell) => (Array.isArray(cell) ? `{${cell}}` : typeof cell === "number" ? String(cell) : cell);
    assert.deepEqual(found.map((row) => row.map(shown)), expected("summaries"));
});

check("a cursor in small parts", async (client) => {
    const cursor = client.query(new Cursor(`${TEXTS} WHERE id > $1 ORDER BY id`, [0], { rowMode: "array" }));
    const found = [];
    for (let part = await cursor.read(7); part.length > 0; part = await cursor.read(7)) found.push(...part);
    await cursor.close();
    assert.deepEqual(found, texts());
});

check("a cursor that is closed early", async (client) => {
    const cursor = client.query(new Cursor(SLOW.replace("avg(", "(").replace("FROM", "AS score FROM")));
    assert.equal((await cursor.read(3)).length, 3);
    await cursor.close();
    assert.deepEqual(await rows(client, `${TEXTS} ORDER BY id`), texts());
});

check("COPY in and out", async (client) => {
    const lines = await text(client.query(copyTo("COPY (SELECT id, body FROM reviews) TO STDOUT")));
    await pipeline(Readable.from([lines]), client.query(copyFrom("COPY inbox (id, body) FROM STDIN")));
    await keptMoods(client, 206);
    const out = await text(client.query(copyTo("COPY (SELECT id, ecommerce_ml.predict_sentiment(body) FROM reviews ORDER BY id) TO STDOUT")));
    assert.deepEqual(out.trimEnd().split("\n"), texts().map((row) => `${row[0]}\t${row[1] ?? "\\N"}`));
});

check("errors with detail and hint", async (client) => {
    for (const [, statement, state, message, detail, hint] of expected("failures")) {
        await assert.rejects(client.query(statement), (error) => {
            assert.deepEqual([error.code, error.message, error.detail ?? "", error.hint ?? ""], [state, message, detail, hint]);
            return true;
        });
    }
});

check("a transaction that fails", async (client) => {
    await client.query("BEGIN");
    await client.query("INSERT INTO inbox (id, body) VALUES (1, 'I love it')");
    await client.query("SAVEPOINT one");
    await assert.rejects(client.query("SELECT ecommerce_ml.predict_sentiment(body, 'nosuch') FROM inbox"), { code: "42704" });
    await assert.rejects(client.query("SELECT ecommerce_ml.predict_sentiment(body) FROM inbox"), { code: "25P02" });
    await client.query("ROLLBACK TO one");
    assert.deepEqual(await rows(client, "SELECT ecommerce_ml.predict_sentiment(body) FROM inbox"), [["positive"]]);
    await client.query("COMMIT");
    await keptMoods(client, 1);
});

// node-postgres has no call for it; another session cancels.
check("cancel by another session, and statement_timeout", async (client) => {
    const pool = new Pool({ max: 1 });
    const running = assert.rejects(client.query(SLOW), { code: "57014" });
    let cancelled = false;
    while (!cancelled) {
        await sleep(100);
        const found = await pool.query(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND query = $2 AND state = 'active' AND query_start < clock_timestamp() - interval '0.5 s'",
            [client.processID, SLOW]);
        cancelled = found.rowCount > 0;
    }
    await running;
    await pool.end();
    assert.deepEqual(await rows(client, `${TEXTS} ORDER BY id`), texts());
    await client.query("SET statement_timeout = '1s'");
    await assert.rejects(client.query(SLOW), { code: "57014" });
    await client.query("RESET statement_timeout");
    assert.deepEqual(await rows(client, `${TEXTS} ORDER BY id`), texts());
});

check("an unreadable text gives null and a notice", async (client) => {
    const notices = [];
    client.on("notice", (notice) => notices.push(notice.severity));
    assert.deepEqual(await rows(client, "SELECT ecommerce_ml.predict_sentiment(body), ecommerce_ml.predict_confidence(body) FROM reviews WHERE id = 204"), [[null, 0]]);
    assert.deepEqual(notices, ["NOTICE"]);
});

check("many clients of a pool ask at once", async () => {
    const pool = new Pool({ max: 8 });
    const answers = await Promise.all(Array.from({ length: 24 }, () => pool.query({ text: `${TEXTS} ORDER BY id`, rowMode: "array" })));
    for (const answer of answers) assert.deepEqual(answer.rows, texts());
    await pool.end();
});
