-- A window that moves adds up what is in it, for every way of moving.
CREATE TABLE review AS
    SELECT i AS id, i % 2 AS product,
           CASE WHEN i % 11 <> 0 THEN (ARRAY['I love it!', 'It broke, terrible!', 'It is okay.'])[1 + i * i % 3] END AS body
    FROM generate_series(1, 60) AS i;
CREATE TABLE judged AS
    SELECT id, product, ecommerce_ml.predict_sentiment(body) AS sentiment, ecommerce_ml.predict_sentiment_score(body) AS score
    FROM review;
-- Rows whose window says something else than what its rows say one by one.
CREATE FUNCTION differences(frame text) RETURNS SETOF int LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE replace($q$
        SELECT id FROM
            (SELECT id, ecommerce_ml.summarize_reviews(body) OVER w AS s FROM review WINDOW w AS (FRAME)) AS summary
        JOIN (SELECT id, count(score) OVER w AS reviews, count(*) FILTER (WHERE sentiment = 'positive') OVER w AS positive,
                     avg(score) OVER w AS mean FROM judged WINDOW w AS (FRAME)) AS expected USING (id)
        WHERE (s).reviews <> reviews OR (s).positive <> positive OR ((s).mean_score IS NULL) <> (mean IS NULL)
           OR abs((s).mean_score - mean) > 1e-4$q$, 'FRAME', frame);
END $$;
SELECT frame, ARRAY(SELECT differences(frame)) AS differences FROM (VALUES
    ('ORDER BY id ROWS 5 PRECEDING'), ('ORDER BY id'), ('ORDER BY id ROWS BETWEEN 3 PRECEDING AND 2 FOLLOWING'),
    ('PARTITION BY product ORDER BY id ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING'),
    ('PARTITION BY product ORDER BY id RANGE BETWEEN 8 PRECEDING AND 4 PRECEDING'),
    ('ORDER BY id ROWS BETWEEN 4 PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW'),
    ('PARTITION BY product')) AS frames(frame);
SELECT id, (s).reviews, (s).negative, (s).neutral, (s).positive FROM
    (SELECT id, ecommerce_ml.summarize_reviews(body, 'reviews') OVER (ORDER BY id ROWS 5 PRECEDING) AS s FROM review) AS summary
WHERE id BETWEEN 9 AND 15;
-- The default model is that of the statement's beginning, whatever is set under way; a named one may be another for each row.
\set classifier 'file://' :models '/bert-classification-3'
SELECT ecommerce_ml.import_model('moods', :'classifier');
SELECT (s).stars IS NOT NULL AS with_stars, min(id), max(id), min((s).reviews), max((s).reviews) FROM
    (SELECT id, ecommerce_ml.summarize_reviews(body) OVER (ORDER BY id ROWS 2 PRECEDING) AS s,
            CASE WHEN id = 30 THEN set_config('ecommerce_ml.default_model', 'moods', true) END
     FROM review WHERE body IS NOT NULL) AS summary WHERE id > 3 GROUP BY 1 ORDER BY 1 DESC;
SELECT (s).stars[5] >= (s).reviews AS all_stars, count(*) FROM
    (SELECT id, ecommerce_ml.summarize_reviews('I love it!', CASE WHEN id % 30 < 15 THEN 'reviews' ELSE 'moods' END)
                    OVER (ORDER BY id ROWS 2 PRECEDING) AS s FROM review) AS summary GROUP BY 1 ORDER BY 1 DESC;
