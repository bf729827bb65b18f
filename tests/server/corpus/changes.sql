-- Statements that change rows, each in a transaction that is rolled back.

-- insert select
CREATE TABLE kept (id int, answer text);
INSERT INTO kept SELECT id, @label(@text(r)) FROM reviews AS r;
SELECT * FROM kept;

-- insert select, returning
CREATE TABLE kept (id int, answer text);
INSERT INTO kept SELECT id, @label(@text(r)) FROM reviews AS r WHERE lang = 'en' RETURNING id, answer, @any(answer);

-- insert select, serial and default
CREATE TABLE kept (n serial, answer text, made text DEFAULT predict_sentiment('I love it'), note text DEFAULT 'none');
INSERT INTO kept (answer) SELECT @label(r.body) FROM reviews AS r ORDER BY r.id;
SELECT * FROM kept;

-- insert select, identity and generated column
CREATE TABLE kept (n int GENERATED ALWAYS AS IDENTITY, body text, size int GENERATED ALWAYS AS (length(body)) STORED, answer text);
INSERT INTO kept (body, answer) SELECT body, @label(r.body) FROM reviews AS r ORDER BY id RETURNING *;

-- insert select, into what is read
INSERT INTO reviews SELECT id + 1000, product_id, lang, stars, body, @label(r.body) FROM reviews AS r;
SELECT * FROM reviews WHERE id > 1000;

-- insert select, into partitions
INSERT INTO reviews_parts SELECT id + 1000, product_id, CASE WHEN @label(r.body) = 'positive' THEN 'en' ELSE 'de' END, stars, body, model FROM reviews AS r;
SELECT tableoid::regclass, count(*), min(id) FROM reviews_parts GROUP BY 1;

-- insert select, into a foreign table
INSERT INTO answers_remote SELECT id, @label(r.body) FROM reviews AS r RETURNING id, answer, @any(answer);
SELECT * FROM answers_remote;

-- insert values
INSERT INTO labels VALUES (predict_sentiment('I love it'), token_count('a b c')), (predict_class('I hate it', 'shop'), 7) RETURNING *;

-- insert on conflict
CREATE TABLE kept (sentiment text PRIMARY KEY, n int);
INSERT INTO kept VALUES ('positive', 0);
INSERT INTO kept SELECT DISTINCT predict_sentiment(body), 1 FROM reviews WHERE btrim(body, E' \t\n') <> '' ON CONFLICT (sentiment) DO UPDATE SET n = kept.n + 10 + token_count(excluded.sentiment) RETURNING *;
SELECT * FROM kept;

-- insert on conflict, where
CREATE TABLE kept (id int PRIMARY KEY, answer text);
INSERT INTO kept SELECT id, 'old' FROM reviews WHERE id % 2 = 0;
INSERT INTO kept SELECT id, body FROM reviews WHERE body <> '' ON CONFLICT (id) DO UPDATE SET answer = predict_class(excluded.answer, 'shop') WHERE predict_sentiment(excluded.answer) = 'positive';
SELECT * FROM kept;

-- insert on conflict do nothing
CREATE TABLE kept (answer text UNIQUE);
INSERT INTO kept SELECT @label(r.body) FROM reviews AS r ON CONFLICT DO NOTHING RETURNING answer;

-- insert that violates
CREATE TABLE kept (answer text CHECK (answer <> 'negative'));
INSERT INTO kept SELECT predict_sentiment(body) FROM reviews;

-- insert overriding, default values by a call
CREATE TABLE kept (id int, answer text DEFAULT predict_class('Terrible', 'shop'));
INSERT INTO kept (id) SELECT token_count(body) FROM reviews;
SELECT * FROM kept;

-- create table as
CREATE TABLE kept AS SELECT id, @any(@text(r)) AS a, @any(@text(r)) AS b FROM reviews AS r;
SELECT * FROM kept;

-- create table as, with no data
CREATE TABLE kept AS SELECT id, @any(r.body) AS a FROM reviews AS r WITH NO DATA;
SELECT * FROM kept;

-- create table as execute
PREPARE judge (text) AS SELECT id, @label(r.body) AS a FROM reviews AS r WHERE lang = $1;
CREATE TABLE kept AS EXECUTE judge('en');
SELECT * FROM kept;

-- create temporary table as
CREATE TEMPORARY TABLE kept ON COMMIT DROP AS SELECT id, @label(@text(r)) AS a FROM reviews AS r;
SELECT id, @any(a) FROM kept WHERE @label(a) IS NOT NULL;

-- select into
SELECT id, @any(@text(r)) AS a INTO kept FROM reviews AS r WHERE @label(r.body) <> 'neutral';
SELECT * FROM kept;

-- update
ALTER TABLE reviews ADD answer text;
UPDATE reviews AS r SET answer = @label(@text(r));
SELECT id, answer FROM reviews;

-- update, returning
UPDATE reviews AS r SET model = @label(r.body) WHERE lang = 'de' RETURNING id, model, @any(r.model), @any(r.body);

-- update, where
UPDATE reviews AS r SET stars = 9 WHERE @label(@text(r)) = 'positive' RETURNING id;
SELECT id, stars FROM reviews;

-- update of the text itself
UPDATE reviews AS r SET body = @label(r.body) || ' ' || body WHERE @number(r.body) IS NOT NULL;
SELECT id, body, @any(r.body) FROM reviews AS r;

-- update from a join
UPDATE reviews AS r SET stars = l.weight FROM labels AS l WHERE l.sentiment = predict_sentiment(r.body) AND l.weight <> 2 RETURNING r.id, r.stars, l.sentiment;

-- update from a subquery of calls
UPDATE products AS p SET description = s.answer FROM (SELECT product_id, max(@label(r.body)) AS answer FROM reviews AS r GROUP BY 1) AS s WHERE s.product_id = p.id;
SELECT * FROM products;

-- update by a correlated subquery
UPDATE products AS p SET category = (SELECT max(@label(r.body)) FROM reviews AS r WHERE r.product_id = p.id) WHERE @label(p.description) IS NOT NULL RETURNING *;

-- update of several columns
UPDATE reviews AS r SET (lang, stars) = (SELECT @label(r.body), token_count(r.body)) WHERE id < 60 RETURNING *;

-- update that moves rows between partitions
UPDATE reviews_parts AS r SET lang = CASE WHEN @label(r.body) = 'positive' THEN 'en' ELSE 'zz' END WHERE id < 150;
SELECT tableoid::regclass, count(*), min(id) FROM reviews_parts GROUP BY 1;

-- update of a partitioned table
UPDATE reviews_parts AS r SET model = @label(r.body) WHERE predict_sentiment(body, 'shop') <> 'neutral' RETURNING tableoid::regclass, id, model;

-- update through a view
UPDATE reviews_view AS r SET model = @label(r.body) WHERE @number(r.body) > 0 RETURNING id, model;

-- update of a foreign table
UPDATE reviews_remote AS r SET model = @label(r.body) WHERE lang = 'de' AND @label(r.body) = 'positive' AND id < 0;
INSERT INTO answers_remote SELECT id, body FROM reviews;
UPDATE answers_remote AS a SET answer = @label(a.answer) WHERE @label(a.answer) <> 'neutral' RETURNING id, answer;

-- update with nothing to do
UPDATE reviews AS r SET model = @label(r.body) WHERE predict_sentiment(body) = 'none' RETURNING id;

-- update that fails midway
UPDATE reviews SET model = predict_class(body, CASE WHEN id = 200 THEN 'nosuchmodel' ELSE 'shop' END);

-- delete
DELETE FROM reviews AS r WHERE @label(@text(r)) = 'positive' RETURNING id, @any(r.body);
SELECT id FROM reviews;

-- delete using
DELETE FROM reviews AS r USING labels AS l WHERE l.sentiment = @label(r.body) AND l.weight > 1 RETURNING r.id;

-- delete from a partitioned table
DELETE FROM reviews_parts AS r WHERE @number(@text(r)) > 1;
SELECT tableoid::regclass, id FROM reviews_parts;

-- delete where the call is in a subquery
DELETE FROM products WHERE id IN (SELECT product_id FROM reviews AS r WHERE @label(r.body) = 'negative') RETURNING *;

-- merge
CREATE TABLE kept (id int, answer text, n int DEFAULT 0);
INSERT INTO kept SELECT id, 'old' FROM reviews WHERE id % 2 = 0;
MERGE INTO kept AS k USING (SELECT id, @label(r.body) AS answer FROM reviews AS r) AS s ON s.id = k.id WHEN MATCHED AND s.answer = 'negative' THEN DELETE WHEN MATCHED THEN UPDATE SET answer = s.answer WHEN NOT MATCHED THEN INSERT (id, answer) VALUES (s.id, s.answer);
SELECT * FROM kept;

-- merge, calls in its actions
CREATE TABLE kept (id int, answer text);
INSERT INTO kept SELECT id, 'old' FROM reviews WHERE id % 3 = 0;
MERGE INTO kept AS k USING reviews AS r ON r.id = k.id WHEN MATCHED AND predict_sentiment(r.body) = 'positive' THEN UPDATE SET answer = predict_class(r.body) WHEN NOT MATCHED AND predict_sentiment(r.body) = 'negative' THEN INSERT VALUES (r.id, predict_class(r.body, 'shop')) WHEN MATCHED THEN DO NOTHING;
SELECT * FROM kept;

-- merge on a call
CREATE TABLE kept AS SELECT * FROM labels WHERE weight < 2;
MERGE INTO kept AS k USING (SELECT DISTINCT predict_sentiment(body) AS sentiment FROM reviews) AS s ON s.sentiment = k.sentiment WHEN MATCHED THEN UPDATE SET weight = token_count(s.sentiment) WHEN NOT MATCHED THEN INSERT VALUES (s.sentiment, 5);
SELECT * FROM kept;

-- data-modifying common table expressions
CREATE TABLE kept (id int, answer text);
WITH gone AS (DELETE FROM reviews AS r WHERE @label(r.body) = 'negative' RETURNING *), put AS (INSERT INTO kept SELECT id, @label(g.body) FROM gone AS g RETURNING *) SELECT p.id, p.answer, @any(p.answer) FROM put AS p;
SELECT * FROM kept;
SELECT count(*) FROM reviews;

-- updating common table expression nobody reads
WITH u AS (UPDATE reviews AS r SET model = @label(r.body)) SELECT count(*), max(@label(r.body)) FROM reviews AS r;
SELECT id, model FROM reviews;

-- update, then read back within the statement
WITH u AS (UPDATE reviews SET stars = token_count(body) WHERE predict_sentiment(body) = 'positive' RETURNING id, stars) SELECT r.id, r.stars, u.stars FROM reviews AS r JOIN u USING (id);

-- trigger that calls, before
CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.model := predict_sentiment(NEW.body, 'shop'); RETURN NEW; END $$;
CREATE TRIGGER judge BEFORE INSERT OR UPDATE ON reviews FOR EACH ROW EXECUTE FUNCTION judge();
INSERT INTO reviews (id, body) SELECT id + 1000, @label(r.body) FROM reviews AS r RETURNING id, body, model;
UPDATE reviews SET lang = predict_class(body) WHERE id < 50;
SELECT id, lang, model FROM reviews;

-- trigger with a condition that calls
CREATE TABLE kept (id int);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO kept VALUES (NEW.id); RETURN NULL; END $$;
CREATE TRIGGER note AFTER UPDATE ON reviews FOR EACH ROW WHEN (predict_sentiment(NEW.body, 'shop') = 'positive') EXECUTE FUNCTION note();
UPDATE reviews AS r SET stars = token_count(body) WHERE @label(r.body) <> 'neutral';
SELECT * FROM kept;

-- trigger over a transition table
CREATE TABLE kept (id int, answer text);
CREATE FUNCTION judge_all() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO kept SELECT id, predict_class(body, 'shop') FROM changed WHERE predict_sentiment(body) = 'positive'; RETURN NULL; END $$;
CREATE TRIGGER judge_all AFTER UPDATE ON reviews REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION judge_all();
UPDATE reviews SET stars = stars;
SELECT * FROM kept;

-- rule that calls
CREATE TABLE kept (id int, answer text);
CREATE RULE keep AS ON UPDATE TO labels DO ALSO INSERT INTO kept VALUES (NEW.weight, predict_sentiment(NEW.sentiment));
UPDATE labels SET weight = weight + token_count(sentiment);
SELECT * FROM kept;

-- constraint that calls
CREATE TABLE kept (body text, CONSTRAINT polite CHECK (predict_sentiment(body, 'shop') <> 'none'));
INSERT INTO kept SELECT body FROM reviews;
INSERT INTO kept SELECT @label(k.body) FROM kept AS k;
SELECT body FROM kept;

-- expression index on a wrapper
CREATE FUNCTION frozen(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT ecommerce_ml.predict_class(t, 'shop@1') $$;
CREATE INDEX ON reviews (frozen(body));
ANALYZE reviews;
SELECT id, frozen(body) FROM reviews WHERE frozen(body) = (SELECT frozen(body) FROM reviews WHERE id = 1);

-- partial index on a wrapper
CREATE FUNCTION frozen(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN ecommerce_ml.predict_class(t, 'shop@1'); END $$;
CREATE INDEX ON reviews (id) WHERE frozen(body) = 'positive';
SELECT id, predict_class(body, 'shop') FROM reviews WHERE frozen(body) = 'positive';

-- materialized view made and refreshed
CREATE MATERIALIZED VIEW kept AS SELECT id, @label(@text(r)) AS answer FROM reviews AS r;
SELECT * FROM kept;
DELETE FROM reviews WHERE id % 3 = 0;
REFRESH MATERIALIZED VIEW kept;
SELECT * FROM kept;
CREATE UNIQUE INDEX ON kept (id);
UPDATE reviews SET body = 'I hate it' WHERE id % 5 = 0;
REFRESH MATERIALIZED VIEW CONCURRENTLY kept;
SELECT * FROM kept;

-- alter table using a call
CREATE TABLE kept AS SELECT id, body FROM reviews;
ALTER TABLE kept ALTER COLUMN body TYPE int USING token_count(body);
SELECT * FROM kept;
