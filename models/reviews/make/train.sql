-- Trains the `reviews` model by `train_model`, in any database that has the extension.
--
--     ROWS=rows.csv psql -v base=/folder/of/symbols.py -v out=/empty/folder -f train.sql
--
-- `rows.py` writes the rows and `symbols.py` the model to begin with; `base` and `out` are folders of the server's. The rows are learned in
-- four parts, one after the other, each a training of its own that begins with what the one before it has learned: every row is seen once,
-- and after each part there is a model. The first part has only rows whose stars are known. Prints how far each model is off on validation
-- rows, of products that no part has.

\set ON_ERROR_STOP on
\timing on
DROP TABLE IF EXISTS reviews_rows CASCADE;
CREATE TABLE reviews_rows (text text, stars numrange, source text, split text);
\copy reviews_rows FROM PROGRAM 'cat "$ROWS"' WITH (FORMAT csv, HEADER)

-- A range of stars such as [4,5] is four or five, nobody knows which. Rows of a later day are held out: validation rows, which are of other
-- products.
CREATE VIEW reviews_parts AS
SELECT text, stars, source, split,
       CASE WHEN lower(stars) = upper(stars) THEN mod(abs(hashtext(text)::bigint), 4) + 1
            ELSE mod(abs(hashtext(text)::bigint), 3) + 2 END AS part,
       date '2000-01-01' + (split = 'valid')::int AS day
FROM reviews_rows
WHERE split = 'train' OR split = 'valid' AND upper(stars) = lower(stars) AND mod(abs(hashtext(text)::bigint), 3) = 0;

SELECT ecommerce_ml.import_model('reviews_part_0', 'file://' || :'base');
\set part 1
\set rate 8e-5
\set before reviews_part_0
\ir train_part.sql
\set part 2
\set before reviews_part_1
\ir train_part.sql
\set part 3
\set rate 6e-5
\set before reviews_part_2
\ir train_part.sql
\set part 4
\set rate 4e-5
\set before reviews_part_3
\ir train_part.sql
SELECT ecommerce_ml.export_model('reviews_part_4', :'out');
