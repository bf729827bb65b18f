-- The database that the clients work in. Run by psql as a superuser in a new database that belongs to role analyst, with
-- the reviews (CSV) as standard input and variable model (where a model is imported from).
\set ON_ERROR_STOP on
CREATE EXTENSION ecommerce_ml;

-- A second model whose answers differ, for everybody, to tell which one answered.
SELECT ecommerce_ml.import_model('moods', :'model');
SELECT ecommerce_ml.grant_model('moods', 'public');

SET ROLE analyst;

CREATE TABLE sample (product_id text, review text, great boolean);
\copy sample FROM pstdin WITH (FORMAT csv, HEADER)

CREATE TABLE reviews (
    id         bigint PRIMARY KEY,
    product_id text,
    posted     date NOT NULL,
    body       text
);
INSERT INTO reviews
SELECT n, 'product ' || n % 7, date '2026-01-01' + n::int, left(review, 300)
FROM (SELECT row_number() OVER () AS n, review FROM sample) AS numbered WHERE n <= 200;
-- What has no answer, and what clients quote.
INSERT INTO reviews VALUES
    (201, 'odd', '2026-08-01', NULL), (202, 'odd', '2026-08-01', ''), (203, 'odd', '2026-08-01', '   '),
    (204, 'odd', '2026-08-01', '质量很好，物流很快'), (205, 'odd', '2026-08-01', 'It''s 100 % "great": \n ?, $1, %s, :x, {y}! 😀'),
    (206, NULL, '2026-08-01', 'Broke after a week.');
SELECT ecommerce_ml.keep_column('reviews', 'mood', 'ecommerce_ml.predict_sentiment_score(body)');
SELECT ecommerce_ml.refresh_column('reviews', 'mood');
CREATE INDEX ON reviews (mood);

-- Where clients write.
CREATE TABLE inbox (id bigint PRIMARY KEY, body text, client text NOT NULL DEFAULT current_setting('application_name'));
SELECT ecommerce_ml.keep_column('inbox', 'mood', 'ecommerce_ml.predict_sentiment_score(body)');

CREATE TABLE visits (id int PRIMARY KEY, pages int, country text, bought boolean);
INSERT INTO visits
SELECT n, n % 10, (ARRAY['AT', 'DE', NULL])[1 + n % 3], CASE WHEN n % 17 = 0 THEN n % 10 < 5 ELSE n % 10 > 4 END
FROM generate_series(1, 200) AS n;
SELECT ecommerce_ml.train_model('buyers', 'visits', label_column => 'bought', feature_columns => '{pages,country}');
SELECT ecommerce_ml.wait_for_job(max(job)) = 'succeeded' AS trained FROM ecommerce_ml.jobs \gset
\if :trained
\else
    SELECT state, error, detail FROM ecommerce_ml.jobs;
    \quit
\endif

CREATE VIEW verdicts AS
SELECT id, product_id, posted, ecommerce_ml.predict_sentiment(body) AS sentiment, ecommerce_ml.predict_rating(body) AS stars
FROM reviews;

-- What psql shows of an error.
CREATE FUNCTION failure(statement text, OUT state text, OUT message text, OUT detail text, OUT hint text)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
                            detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
END $$;
CREATE TABLE failing (name text, statement text);
INSERT INTO failing VALUES
    ('unknown_model', $$SELECT ecommerce_ml.predict_sentiment('Great value', 'nosuch')$$),
    ('no_number', $$SELECT ecommerce_ml.predict_value('Great value')$$),
    ('too_long', $$SELECT ecommerce_ml.predict_sentiment(repeat('long ', 1000000))$$),
    ('missing_key', $$SELECT ecommerce_ml.predict_class('{"pages": 9}'::jsonb, 'buyers')$$),
    ('other_type', $$SELECT ecommerce_ml.predict_class('{"pages": "many", "country": "AT"}'::jsonb, 'buyers')$$),
    ('text_for_rows', $$SELECT ecommerce_ml.predict_class('{"pages": 9, "country": "AT"}', 'buyers')$$),
    ('in_a_batch', $$SELECT sum(ecommerce_ml.predict_sentiment_score(body, 'nosuch')) FROM reviews$$);

RESET ROLE;
CREATE ROLE reader LOGIN;
GRANT SELECT ON reviews, visits, verdicts TO reader;
