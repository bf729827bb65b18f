-- WHERE, GROUP BY, HAVING, ORDER BY, window functions, RETURNING, UPDATE, triggers, CASE.
CREATE TABLE review (id int GENERATED ALWAYS AS IDENTITY, product text, body text);
INSERT INTO review (product, body) VALUES
    ('kettle', 'I love it, great quality!'), ('kettle', 'It broke at once, terrible!'),
    ('lamp', 'Beautiful light, I love it!'), ('lamp', 'Perfect, best lamp ever!'), ('lamp', NULL);
SELECT id FROM review WHERE ecommerce_ml.predict_sentiment(body) = 'negative';
SELECT product, ecommerce_ml.predict_sentiment(body) AS sentiment, count(*) FROM review GROUP BY 1, 2 ORDER BY 1, 2;
SELECT product FROM review GROUP BY product HAVING avg(ecommerce_ml.predict_sentiment_score(body)) > 0.5;
SELECT id FROM review WHERE body IS NOT NULL ORDER BY ecommerce_ml.predict_rating(body) LIMIT 1;
SELECT id, rank() OVER (PARTITION BY product ORDER BY ecommerce_ml.predict_rating(body) DESC NULLS LAST) FROM review ORDER BY id;
INSERT INTO review (product, body) VALUES ('kettle', 'I hate it!') RETURNING ecommerce_ml.predict_sentiment(body);
ALTER TABLE review ADD sentiment text;
UPDATE review SET sentiment = ecommerce_ml.predict_sentiment(body);
SELECT id, sentiment FROM review ORDER BY id;
CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.sentiment := ecommerce_ml.predict_sentiment(NEW.body); RETURN NEW; END $$;
CREATE TRIGGER judge BEFORE INSERT OR UPDATE OF body ON review FOR EACH ROW EXECUTE FUNCTION judge();
INSERT INTO review (product, body) VALUES ('lamp', 'I love it!') RETURNING sentiment;
UPDATE review SET body = 'Awful, I hate it!' WHERE id = 1 RETURNING sentiment;
SELECT CASE WHEN body IS NULL THEN 'silent' ELSE ecommerce_ml.predict_sentiment(body) END FROM review WHERE product = 'lamp' ORDER BY id;
