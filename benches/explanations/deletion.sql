-- Do contributions name the words that matter? Five words that contribute the most toward what the model says are taken out of
-- each text, and five random ones; whichever moves the stars further wins.
--
--     psql -f benches/explanations/deletion.sql < texts.csv
--
-- What comes in is CSV with one column and no header: texts that the model was not trained on, 12 words or more
-- each. Words are runs of letters and digits; both choices are among the same words. Random words are drawn by a fixed seed.

\set ON_ERROR_STOP on
\pset footer off
SET search_path = ecommerce_ml, pg_catalog, pg_temp;
CREATE TEMP TABLE texts (id int GENERATED ALWAYS AS IDENTITY, body text);
\copy texts (body) from pstdin with (format csv)

-- Takes parts out of a text, from the back to the front, so that the places of the others stay.
CREATE FUNCTION pg_temp.without(body text, places int[], lengths int[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    FOR part IN SELECT * FROM unnest(places, lengths) AS parts (place, length) ORDER BY place DESC LOOP
        body := overlay(body PLACING '' FROM part.place FOR part.length);
    END LOOP;
    RETURN body;
END $$;

\timing on
CREATE TEMP TABLE tokens AS SELECT id, e.* FROM texts, explain_prediction(body) AS e;
\timing off
SELECT setseed(0.42);

CREATE TEMP TABLE words AS
WITH numbered AS (
    SELECT *, token ~ '[[:alnum:]]' AS is_word,
           CASE WHEN token ~ '[[:alnum:]]' AND lag(start + length) OVER following = start THEN 0 ELSE 1 END AS begins
    FROM tokens WINDOW following AS (PARTITION BY id ORDER BY start)
), grouped AS (
    SELECT *, sum(begins) OVER (PARTITION BY id ORDER BY start) AS word FROM numbered
)
SELECT id, min(start) AS start, sum(length)::int AS length, sum(contribution) AS contribution
FROM grouped GROUP BY id, word HAVING bool_or(is_word);
ANALYZE words;

CREATE TEMP TABLE choices AS
WITH direction AS (SELECT id, sign(sum(contribution)) AS sign FROM tokens GROUP BY id),
ranked AS (
    SELECT w.*, row_number() OVER (PARTITION BY id ORDER BY contribution * sign DESC) AS strength,
           row_number() OVER (PARTITION BY id ORDER BY random()) AS chance
    FROM (SELECT * FROM words ORDER BY id, start) AS w JOIN direction USING (id)
)
SELECT id, pg_temp.without(body, s.places, s.lengths) AS without_strongest,
       pg_temp.without(body, r.places, r.lengths) AS without_random
FROM texts
JOIN (SELECT id, array_agg(start) AS places, array_agg(length) AS lengths FROM ranked WHERE strength <= 5 GROUP BY id) AS s USING (id)
JOIN (SELECT id, array_agg(start) AS places, array_agg(length) AS lengths FROM ranked WHERE chance <= 5 GROUP BY id) AS r USING (id);

WITH moved AS (
    SELECT abs(predict_rating(body) - predict_rating(without_strongest)) AS strongest,
           abs(predict_rating(body) - predict_rating(without_random)) AS random
    FROM texts JOIN choices USING (id)
)
SELECT count(*) AS texts, round(100 * avg((strongest > random)::int), 1) AS strongest_wins_percent,
       round(avg(strongest)::numeric, 3) AS stars_moved_by_strongest, round(avg(random)::numeric, 3) AS by_random
FROM moved;

