-- A model's answers change, and a table may be restored before the models are: what is checked at each row must not ask one.
\set VERBOSITY terse
CREATE TABLE asking (body text CHECK (ecommerce_ml.predict_sentiment(body) <> 'negative'));
CREATE TABLE review (body text, CONSTRAINT short CHECK (length(body) < 1000));
ALTER TABLE review ADD CONSTRAINT asks CHECK (ecommerce_ml.predict_rating(body, 'reviews') > 1) NOT VALID;
ALTER TABLE review ADD CONSTRAINT asks CHECK (cardinality(ecommerce_ml.predict_sentiment(ARRAY[body])) = 1);

-- By a function, whatever the server has understood of it.
CREATE FUNCTION mood(body text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ecommerce_ml.predict_sentiment($1)';
CREATE FUNCTION liked(body text) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN mood(body) = 'positive';
CREATE FUNCTION stars(body text) RETURNS real LANGUAGE plpgsql IMMUTABLE SET search_path = ecommerce_ml AS $$
BEGIN
    RETURN predict_rating(body);
END $$;
CREATE TABLE asking (body text, mood text GENERATED ALWAYS AS (mood(body)) STORED);
ALTER TABLE review ADD mood text GENERATED ALWAYS AS (mood(body)) STORED;
ALTER TABLE review ADD CHECK (liked(body));
ALTER TABLE review ADD CHECK (stars(body) > 3);
CREATE TABLE asking (body text) PARTITION BY LIST (mood(body));
CREATE DOMAIN kind_text AS text CHECK (liked(VALUE));
CREATE DOMAIN kind_text AS text;
ALTER DOMAIN kind_text ADD CONSTRAINT asks CHECK (ecommerce_ml.predict_sentiment(VALUE) <> 'negative');
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE asking (body text CHECK (liked(body))) SERVER nowhere;
CREATE SCHEMA shop CREATE TABLE asking (body text CHECK (liked(body)));
BEGIN;
SAVEPOINT before;
ALTER TABLE review ADD CHECK (liked(body));
ROLLBACK;

-- What is said of it.
\set VERBOSITY default
\set SHOW_CONTEXT never
ALTER TABLE review ADD CHECK (mood(body) <> 'negative');

-- Nothing else is refused.
ALTER TABLE review ADD mood text DEFAULT ecommerce_ml.predict_sentiment('It is a lamp.'), ADD CHECK (mood <> '');
ALTER DOMAIN kind_text ADD CHECK (VALUE <> '');
CREATE TABLE parts (body text) PARTITION BY LIST (upper(body));
CREATE SCHEMA shop CREATE TABLE silent (body text CHECK (body <> ''));
CREATE VIEW moods AS SELECT ecommerce_ml.predict_sentiment(body) FROM review;
CREATE TEMP TABLE short_review AS SELECT * FROM review;

-- A constraint that came by a restore, or from an earlier version, stays and can be found.
SET session_replication_role = replica;
CREATE TABLE earlier (body text CONSTRAINT asks CHECK (liked(body)));
RESET session_replication_role;
ALTER TABLE earlier ADD stars integer;
SELECT place FROM ecommerce_ml.asking_constraint;
