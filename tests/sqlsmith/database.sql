-- What scripts/test-sqlsmith lets sqlsmith loose on. It makes a reference model answer, because that takes microseconds
-- where the built-in one takes milliseconds.
-- Variables: models, the folder of the reference models.
\set ON_ERROR_STOP on
CREATE EXTENSION ecommerce_ml;
SELECT ecommerce_ml.import_model('stars', 'file://' || :'models' || '/bert-stars-sharded');
SELECT ecommerce_ml.import_model('points', 'file://' || :'models' || '/bert-regression');
SELECT ecommerce_ml.grant_model('stars', 'public'), ecommerce_ml.grant_model('points', 'public');
ALTER DATABASE smith SET ecommerce_ml.default_model = 'stars';

CREATE SCHEMA shop;
GRANT USAGE ON SCHEMA shop TO smith;

CREATE TABLE shop.products (
    id integer PRIMARY KEY, name text NOT NULL, price numeric(8, 2), added timestamptz, tags text[], details jsonb
);
INSERT INTO shop.products
SELECT n, 'product ' || n, n * 1.25, timestamptz '2024-01-01' + n * interval '1 day', ARRAY['tag ' || n % 3, 'new'],
       jsonb_build_object('colour', 'red', 'weight', n)
FROM generate_series(1, 12) AS n;

CREATE TABLE shop.reviews (
    id bigint PRIMARY KEY, product integer REFERENCES shop.products, author text, title text, body text, stars integer
);
INSERT INTO shop.reviews
SELECT n, nullif(n % 13, 0), 'author ' || n % 7, (ARRAY['good', 'bad', NULL, 'so so'])[n % 4 + 1],
       (ARRAY['I love it', 'broke after a week', NULL, '', '   ', 'it is a lamp', 'never again', 'great value'])[n % 8 + 1]
           || CASE n % 3 WHEN 0 THEN '' ELSE ' ' || n % 20 END,
       n % 5 + 1
FROM generate_series(1, 90) AS n;
CREATE INDEX ON shop.reviews (product);
CREATE INDEX ON shop.reviews (body);

-- Partitions, for Append, MergeAppend and pruning.
CREATE TABLE shop.visits (day integer, product integer, remark text) PARTITION BY RANGE (day);
CREATE TABLE shop.visits_1 PARTITION OF shop.visits FOR VALUES FROM (0) TO (10);
CREATE TABLE shop.visits_2 PARTITION OF shop.visits FOR VALUES FROM (10) TO (20);
CREATE TABLE shop.visits_3 PARTITION OF shop.visits DEFAULT;
INSERT INTO shop.visits SELECT n % 30, n % 12 + 1, 'remark ' || n % 9 FROM generate_series(1, 60) AS n;
CREATE INDEX ON shop.visits (day);
CREATE TABLE shop.nothing (id integer, body text);

-- sqlsmith picks functions by what they return, so ours would be rare. In views they are in every query that names the
-- view, and once the planner has taken the view apart they stand in target lists, conditions, joins and sort keys.
CREATE VIEW shop.scored AS
SELECT id, product, body, ecommerce_ml.predict_sentiment(body) AS sentiment,
       ecommerce_ml.predict_sentiment_score(body) AS score, ecommerce_ml.predict_rating(body) AS rating
FROM shop.reviews;
CREATE VIEW shop.titles AS
SELECT id, stars, ecommerce_ml.predict_class(title) AS class, ecommerce_ml.token_count(title) AS tokens,
       ecommerce_ml.tokenize(title || coalesce(' ' || body, '')) AS pieces, ecommerce_ml.token_ids(body) AS ids
FROM shop.reviews;
CREATE VIEW shop.guarded AS
SELECT id, CASE WHEN stars > 2 THEN ecommerce_ml.predict_value(body, 'points') ELSE stars END AS points,
       coalesce(title, ecommerce_ml.predict_sentiment(body)) AS label,
       ecommerce_ml.predict_probabilities(coalesce(body, title)) AS probabilities
FROM shop.reviews
WHERE stars < 5 OR ecommerce_ml.predict_sentiment_score(body) > 0;
CREATE VIEW shop.best AS
SELECT id, body, ecommerce_ml.predict_rating(body) AS rating FROM shop.reviews ORDER BY 3 DESC NULLS LAST, 1 LIMIT 25;
CREATE VIEW shop.per_product AS
SELECT p.id, p.name, count(*) AS reviews, avg(ecommerce_ml.predict_sentiment_score(r.body)) AS score,
       max(ecommerce_ml.predict_sentiment(r.title)) AS title
FROM shop.products AS p LEFT JOIN shop.reviews AS r ON r.product = p.id
GROUP BY p.id HAVING count(*) > 1 OR min(ecommerce_ml.predict_rating(r.body)) < 3;
CREATE VIEW shop.ranked AS
SELECT id, product, rank() OVER (PARTITION BY product ORDER BY ecommerce_ml.predict_rating(body)) AS place,
       lag(ecommerce_ml.predict_sentiment(body)) OVER (ORDER BY id) AS before
FROM shop.reviews;
CREATE VIEW shop.lateral_best AS
SELECT p.id, p.name, b.body, b.rating
FROM shop.products AS p,
     LATERAL (SELECT body, ecommerce_ml.predict_rating(body || p.name) AS rating FROM shop.reviews
              WHERE product = p.id ORDER BY 2 LIMIT 2) AS b;
CREATE VIEW shop.remarks AS
SELECT day, product, remark, ecommerce_ml.predict_sentiment(remark) AS sentiment, ecommerce_ml.embed(remark) AS embedding
FROM shop.visits;
CREATE VIEW shop.everything AS
SELECT id, body, ecommerce_ml.predict_sentiment(body) AS sentiment FROM shop.reviews
UNION ALL SELECT day, remark, ecommerce_ml.predict_class(remark) FROM shop.visits
UNION ALL SELECT id, body, ecommerce_ml.predict_sentiment(body) FROM shop.nothing;

-- Queries inside of queries.
CREATE FUNCTION shop.mood(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT ecommerce_ml.predict_sentiment($1)';
CREATE FUNCTION shop.average(integer) RETURNS double precision LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT avg(ecommerce_ml.predict_sentiment_score(body)) FROM shop.reviews WHERE product = $1);
EXCEPTION WHEN division_by_zero THEN RETURN NULL;
END $$;
CREATE FUNCTION shop.judge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.stars := ecommerce_ml.predict_rating(NEW.body);
    RETURN NEW;
END $$;
CREATE TRIGGER judge BEFORE INSERT OR UPDATE ON shop.reviews FOR EACH ROW EXECUTE FUNCTION shop.judge();

GRANT ALL ON ALL TABLES IN SCHEMA shop TO smith;
ANALYZE;

-- sqlsmith reads this view instead of the catalog, because smith's search path has it first: ours, and of the server's
-- functions those on everyday types, without what sleeps, waits or changes settings. The schema is one whose relations
-- sqlsmith leaves out of its queries.
CREATE VIEW information_schema.pg_proc AS
SELECT p.*, p.prokind = 'a' AS proisagg, p.prokind = 'w' AS proiswindow
FROM pg_catalog.pg_proc AS p,
     (SELECT array_agg(oid) AS oids FROM pg_catalog.pg_type
      WHERE oid = ANY ('{bool,int4,int8,float4,float8,numeric,text,jsonb,timestamptz,interval,text[],int4[],float4[],
                         "\"any\"",anyelement,anyarray,anynonarray}'::regtype[])) AS everyday
WHERE p.pronamespace IN ('ecommerce_ml'::regnamespace, 'shop'::regnamespace)
   OR p.pronamespace = 'pg_catalog'::regnamespace AND p.provolatile <> 'v' AND p.prokind IN ('f', 'a')
      AND p.proname !~ '^(pg_|has_|txid|current_setting|inet|binary_upgrade)'
      AND p.prorettype = ANY (everyday.oids) AND p.proargtypes::oid[] <@ everyday.oids AND p.pronargs > 0 AND p.provariadic = 0;
GRANT SELECT ON information_schema.pg_proc TO smith;

-- Nor does it know that the two sides of an operator on polymorphic types belong together; half of its statements would
-- end at that. It passes over operators without a result.
SET allow_system_table_mods = on;
UPDATE pg_catalog.pg_operator SET oprresult = 0
WHERE ARRAY[oprleft, oprright] && '{anyrange,anymultirange,anyenum}'::regtype[]::oid[];
RESET allow_system_table_mods;
