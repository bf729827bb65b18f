-- A deploy changes answers, so no index, generated column or partition may depend on them.
CREATE TABLE review (body text);
CREATE INDEX ON review (ecommerce_ml.predict_sentiment(body));
ALTER TABLE review ADD sentiment text GENERATED ALWAYS AS (ecommerce_ml.predict_sentiment(body)) STORED;
-- A materialized view is refreshed when it is wanted.
INSERT INTO review VALUES ('I love it!'), ('I hate it!');
CREATE MATERIALIZED VIEW verdict AS SELECT body, ecommerce_ml.predict_sentiment(body) AS sentiment FROM review;
INSERT INTO review VALUES ('I love it, great!');
REFRESH MATERIALIZED VIEW verdict;
SELECT * FROM verdict ORDER BY body;
