//! Two databases share an engine and nothing else.

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference, place_model};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};

#[test]
fn models_belong_to_their_database() {
    let cluster = Cluster::new();
    let mut one = cluster.session();
    run(&mut one, "CREATE DATABASE other");
    let mut two = cluster.session_in("other");
    run(&mut two, "CREATE EXTENSION ecommerce_ml");
    import_reference(&cluster, &mut one, "shop", CLASSIFIER);
    let query = "SELECT ecommerce_ml.predict_class('good', 'shop')";
    let first: String = ask(&mut one, query);
    fails_with(&mut two, query, "42704");

    let folder = place_model(&cluster, CLASSIFIER, "relabelled");
    let import = format!(
        "SELECT ecommerce_ml.import_model('shop', 'file://{}', '{{\"labels\": [\"x\", \"y\", \"z\"]}}')",
        folder.display()
    );
    assert_eq!(ask::<i32>(&mut two, &import), 1);
    let second: String = ask(&mut two, query);
    assert!(["x", "y", "z"].contains(&second.as_str()), "{second}");
    assert_eq!(ask::<String>(&mut one, query), first, "the same name stands for other content here");
    assert_eq!(cluster.engines().len(), 1);
}

#[test]
fn a_database_without_the_extension_is_untouched() {
    let cluster = Cluster::new();
    run(&mut cluster.session(), "CREATE DATABASE other");
    let mut other = cluster.session_in("other");
    fails_with(&mut other, "SELECT ecommerce_ml.predict_sentiment('good')", "3F000");
}

#[test]
fn a_database_made_from_a_template_has_its_models() {
    let cluster = Cluster::without_extension(&[]);
    let mut session = cluster.session();
    run(&mut session, "CREATE DATABASE shop_template");
    let mut template = cluster.session_in("shop_template");
    run(&mut template, "CREATE EXTENSION ecommerce_ml");
    import_reference(&cluster, &mut template, "shop", CLASSIFIER);
    let query = "SELECT ecommerce_ml.predict_probabilities('good', 'shop')::text";
    let before: String = ask(&mut template, query);
    drop(template);
    run(&mut session, "CREATE DATABASE shop TEMPLATE shop_template");
    assert_eq!(ask::<String>(&mut cluster.session_in("shop"), query), before);
}
