-- The model of the extension can be replaced by another version, but not dropped.
SELECT ecommerce_ml.drop_model('reviews');
SELECT ecommerce_ml.drop_model('reviews', 1);
SELECT ecommerce_ml.rollback_model('reviews');
SELECT ecommerce_ml.revoke_model('reviews', 'public');
SELECT name, version, live, sha256 IS NULL AS built_in FROM ecommerce_ml.model_versions ORDER BY version;
