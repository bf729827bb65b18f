-- What the corpus asks about. Few distinct texts in many rows: the engine computes an answer once, and a query that
-- runs twice is quick. One row a kind of text that a batch could trip over: NULL, empty, blank, longer than a window,
-- quotes, other scripts, one very long word.
CREATE TABLE reviews (id int PRIMARY KEY, product_id int, lang text, stars int, body text, model text);
INSERT INTO reviews
SELECT i, 1 + i % 12, (ARRAY['en', 'de', 'fr', 'ja'])[1 + i % 7 % 4], CASE WHEN i % 11 > 0 THEN 1 + i % 5 END,
       CASE
           WHEN i % 19 = 0 THEN NULL
           WHEN i % 23 = 0 THEN ''
           WHEN i % 29 = 0 THEN E' \t\n'
           WHEN i IN (77, 177) THEN repeat('the delivery was late but fine ', 100)
           WHEN i = 200 THEN repeat('terrible, it broke ', 200)
           WHEN i = 33 THEN 'It''s "great", isn''t it? C:\new\table; DROP TABLE reviews; --'
           WHEN i = 66 THEN 'とても良い商品です。大満足！'
           WHEN i = 99 THEN 'Größe paßt, très agréable, ¡qué bueno! 👍👍'
           WHEN i = 132 THEN repeat('wow', 100)
           WHEN i = 165 THEN 'a' || U&'\0301' || ' combining mark and a zero' || U&'\200b' || 'width space'
           ELSE (ARRAY['I love this', 'I hate the', 'Not bad, this', 'The', 'Terrible', 'Perfect', 'Our old',
                       'So so,', 'What a'])[1 + i % 9]
                || ' ' || (ARRAY['kettle', 'lamp', 'phone', 'bag', 'shirt', 'book', 'toy', 'chair'])[1 + i % 8]
       END,
       (ARRAY['reviews', 'shop', 'shop@1', NULL, 'shop'])[1 + i % 5]
FROM generate_series(1, 300) AS i;

CREATE TABLE products (id int PRIMARY KEY, name text, category text, description text);
INSERT INTO products
SELECT i, 'product ' || i, (ARRAY['home', 'office', 'play'])[1 + i % 3],
       CASE WHEN i % 5 > 0 THEN 'a ' || (ARRAY['beautiful', 'dull', 'broken', 'useful'])[1 + i % 4] || ' thing' END
FROM generate_series(1, 14) AS i;

CREATE TABLE labels (sentiment text, weight int);
INSERT INTO labels VALUES ('negative', -1), ('neutral', 0), ('positive', 1), ('positive', 2), ('mixed', 3), (NULL, 4);

CREATE TABLE reviews_parts (LIKE reviews) PARTITION BY LIST (lang);
CREATE TABLE reviews_en PARTITION OF reviews_parts FOR VALUES IN ('en');
CREATE TABLE reviews_de PARTITION OF reviews_parts FOR VALUES IN ('de') PARTITION BY HASH (id);
CREATE TABLE reviews_de_0 PARTITION OF reviews_de FOR VALUES WITH (MODULUS 2, REMAINDER 0);
-- Columns in another order: a child's attribute numbers aren't its parent's.
CREATE TABLE reviews_de_1 (model text, body text, extra text, stars int, lang text, product_id int, id int NOT NULL);
ALTER TABLE reviews_de_1 DROP COLUMN extra;
ALTER TABLE reviews_de ATTACH PARTITION reviews_de_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE reviews_rest PARTITION OF reviews_parts DEFAULT;
INSERT INTO reviews_parts SELECT * FROM reviews;

CREATE TABLE reviews_empty (LIKE reviews);
CREATE TABLE reviews_one (LIKE reviews);
INSERT INTO reviews_one SELECT * FROM reviews WHERE id = 1;

-- Dropped and added columns, and texts stored out of line.
CREATE TABLE reviews_wide (gone text, id int, body text, gone_too int, notes text DEFAULT 'none');
INSERT INTO reviews_wide SELECT 'x', id, body, id FROM reviews;
ALTER TABLE reviews_wide DROP COLUMN gone, DROP COLUMN gone_too, ADD COLUMN added text DEFAULT 'I like it';
ALTER TABLE reviews_wide ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE INDEX ON reviews (lang, id);
CREATE VIEW reviews_view AS SELECT * FROM reviews WHERE stars IS NOT NULL;
CREATE VIEW reviews_judged AS SELECT id, product_id, lang, predict_sentiment(body, 'shop') AS sentiment,
                                     predict_rating(body) AS rating FROM reviews;
CREATE MATERIALIZED VIEW reviews_matview AS SELECT * FROM reviews WHERE id % 2 = 0;

CREATE TABLE reviews_guarded (LIKE reviews);
INSERT INTO reviews_guarded SELECT * FROM reviews;
ALTER TABLE reviews_guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY not_negative ON reviews_guarded USING (predict_sentiment(body, 'shop') <> 'negative');
CREATE ROLE visitor;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO visitor;
SELECT grant_model('shop', 'public'), grant_model('points', 'public');

CREATE FUNCTION verdict(review text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT predict_sentiment(review, 'shop') $$;
CREATE FUNCTION verdict_opaque(review text) RETURNS text LANGUAGE sql STABLE SET work_mem = '1MB'
    AS $$ SELECT predict_sentiment(review, 'shop') $$;
CREATE FUNCTION verdict_plpgsql(review text) RETURNS text LANGUAGE plpgsql STABLE
    AS $$ BEGIN RETURN predict_sentiment(review, 'shop'); END $$;
CREATE FUNCTION reviews_in(wanted text) RETURNS TABLE (id int, class text) LANGUAGE sql STABLE
    AS $$ SELECT r.id, predict_class(r.body, 'shop') FROM reviews AS r WHERE r.lang = wanted $$;
CREATE FUNCTION reviews_in_opaque(wanted text) RETURNS TABLE (id int, class text) LANGUAGE sql STABLE SET work_mem = '1MB'
    AS $$ SELECT r.id, predict_class(r.body, 'shop') FROM reviews AS r WHERE r.lang = wanted $$;

CREATE SEQUENCE counter;

-- Foreign tables where the server's packager ships postgres_fdw; views, which are other plans, where not.
CREATE TABLE answers (id int, answer text);
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'postgres_fdw') THEN
        CREATE EXTENSION postgres_fdw;
        EXECUTE format('CREATE SERVER loopback FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, dbname %L)',
                       current_setting('unix_socket_directories'), current_database());
        CREATE USER MAPPING FOR CURRENT_USER SERVER loopback OPTIONS (user 'postgres');
        CREATE FOREIGN TABLE reviews_remote (id int, product_id int, lang text, stars int, body text, model text)
            SERVER loopback OPTIONS (table_name 'reviews');
        CREATE FOREIGN TABLE answers_remote (id int, answer text) SERVER loopback OPTIONS (table_name 'answers');
    ELSE
        CREATE VIEW reviews_remote AS TABLE reviews;
        CREATE VIEW answers_remote AS TABLE answers;
    END IF;
END $$;
ANALYZE;
