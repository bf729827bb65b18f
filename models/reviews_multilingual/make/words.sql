-- What words mean: their embeddings by multilingual-e5-small, Chinese ones beside English ones.
--
--     psql -v e5=/folder/of/e5.py -v words=/words.csv -v out=/embeddings.csv -f words.sql
--
-- `e5` is a folder of the server's; `words` is what vocabulary.py wrote.

\set ON_ERROR_STOP on
DROP TABLE IF EXISTS words;
CREATE TABLE words (language text, word text);
\set copy '\\copy words FROM ' :words ' WITH (FORMAT csv)'
:copy
SELECT ecommerce_ml.import_model('e5', 'file://' || :'e5');
-- It was trained with this word before what is asked.
CREATE TEMP TABLE embeddings AS
SELECT language, word, array_to_string(ecommerce_ml.embed('query: ' || word, 'e5'), ' ') AS embedding FROM words;
\set copy '\\copy embeddings TO ' :out ' WITH (FORMAT csv)'
:copy
