//! Conditions beside what GitLab says of them.

use std::collections::BTreeMap;

use super::*;

fn holds(text: &str, variables: &BTreeMap<String, String>) -> bool {
    Expression::parse(text).unwrap().holds(&|name| variables.get(name).map(String::as_str))
}

#[test]
fn conditions_hold_as_gitlab_says() {
    let variables: BTreeMap<String, String> = [("A", "main"), ("EMPTY", ""), ("P", "/^ma/"), ("N", "23"), ("T", "a/b")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let table = [
        ("$A", true),
        ("$EMPTY", false),
        ("$GONE", false),
        ("$EMPTY != null", true),
        ("$EMPTY == \"\"", true),
        ("$GONE == null", true),
        ("$GONE == ''", false),
        ("$A == \"main\"", true),
        ("\"main\" == $A", true),
        ("$A != 'main'", false),
        ("$A =~ /^m/", true),
        ("$A =~ /^M/", false),
        ("$A =~ /^M/i", true),
        ("$A !~ /^M/", true),
        // Not set is an empty text to a pattern (`lexeme/matches.rb`: `regexp.scan(text.to_s)`).
        ("$GONE =~ /.*/", true),
        ("$GONE !~ /.*/", false),
        ("$GONE =~ /x/", false),
        ("$A =~ $GONE", false),
        ("$A !~ $GONE", true),
        ("$A =~ $P", true),
        ("$N =~ \"1234\"", true),
        ("$T =~ /a\\/b/", true),
        ("$GONE && $A || $A", true),
        ("$A || $GONE && $GONE", true),
        ("($A || $GONE) && $GONE", false),
        ("$A == 'main' && ($N == '23' || $GONE)", true),
        ("$A =~ /MA.N/iU", true),
        ("$A == $A == $A", false),
        // `lexeme/not.rb`, `lexeme/boolean.rb`, `lexeme/logical_operator.rb`: a truth value equals the text that spells it.
        ("!$GONE", true),
        ("!$EMPTY", true),
        ("!$A", false),
        ("!!$A", true),
        ("!$GONE && $A", true),
        ("!($A && $GONE)", true),
        ("! $A == 'false'", true),
        ("$A != 'x' && !$GONE", true),
        ("true", true),
        ("false", false),
        ("true == 'true'", true),
        ("'false' != false", false),
        ("true == true && $A", true),
        // Outside of the header no input is known (`lexeme/input.rb`: `fetch(@value, nil)`).
        ("$[[ inputs.a ]] == null", true),
    ];
    for (text, expected) in table {
        assert_eq!(holds(text, &variables), expected, "{text}");
    }
}

/// GitLab's own table, `spec/lib/gitlab/ci/pipeline/expression/statement_spec.rb`; a value that is present holds.
#[test]
fn gitlabs_own_table() {
    let variables: BTreeMap<String, String> = [
        ("PRESENT", "my variable"),
        ("PATH_VARIABLE", "a/path/variable/value"),
        ("FULL", "/a/full/path/variable/value"),
        ("EMPTY", ""),
        ("teststring", "abcde"),
        ("pattern1", "/^ab.*/"),
        ("pattern2", "/^at.*/"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let table = [
        (r#"$PRESENT == "my variable""#, true),
        (r#""my variable" == $PRESENT"#, true),
        ("$PRESENT == null", false),
        ("$EMPTY == null", false),
        (r#""" == $EMPTY"#, true),
        ("$EMPTY", false),
        ("null == $UNDEFINED", true),
        ("$PRESENT", true),
        ("$UNDEFINED", false),
        (r"$PRESENT =~ /var.*e$/", true),
        (r"$PRESENT =~ /va\r.*e$/", false),
        (r"$PRESENT =~ /va\/r.*e$/", false),
        ("$PRESENT =~ /^var.*/", false),
        ("$EMPTY =~ /var.*/", false),
        ("$UNDEFINED =~ /var.*/", false),
        ("$PRESENT =~ /VAR.*/i", true),
        (r"$PATH_VARIABLE =~ /path\/variable/", true),
        (r"$FULL =~ /^\/a\/full\/path\/variable\/value$/", true),
        (r#"$PRESENT != "my variable""#, false),
        ("$EMPTY != null", true),
        (r#""" != $EMPTY"#, false),
        ("$UNDEFINED != null", false),
        ("null != $UNDEFINED", false),
        ("$PRESENT !~ /var.*e$/", false),
        ("$PRESENT !~ /^var.*/", true),
        ("$EMPTY !~ /var.*/", true),
        ("$UNDEFINED !~ /var.*/", true),
        ("$PRESENT !~ /VAR.*/i", false),
        (r#"$PRESENT && "string""#, true),
        ("$PRESENT && $EMPTY", false),
        ("$PRESENT && null", false),
        ("$EMPTY && $PRESENT", true),
        ("null && $PRESENT", false),
        (r#"$EMPTY && "string""#, true),
        ("$EMPTY && $EMPTY", false),
        (r#"null && "string""#, false),
        ("null && null", false),
        ("$PRESENT =~ /my var/ && $EMPTY =~ /nope/", false),
        (r#"$EMPTY == "" && $PRESENT"#, true),
        (r#"$EMPTY == "" && $PRESENT != "nope""#, true),
        ("$PRESENT && $UNDEFINED", false),
        ("$UNDEFINED && $PRESENT", false),
        ("$PRESENT =~ /my var/ || $EMPTY =~ /nope/", true),
        (r#"$EMPTY == "" || $PRESENT"#, true),
        (r#"$PRESENT && null || $EMPTY == """#, true),
        ("$PRESENT || $UNDEFINED", true),
        ("$UNDEFINED || $PRESENT", true),
        ("(($PRESENT))", true),
        (r#"(($PRESENT && null) || $EMPTY == "")"#, true),
        (r#"($PRESENT) && (null || $EMPTY == "")"#, true),
        (r#"("string" || "test") == "string""#, true),
        (r#"(null || ("test" == "string"))"#, false),
        (r#"("string" == ("test" && "string"))"#, true),
        (r#"("string" == ("test" || "string"))"#, false),
        (r#"("string" == "test" || "string")"#, true),
        (r#"("string" == ("string" || (("1" == "1") && ("2" == "3"))))"#, true),
        (r#"$teststring =~ "abcde""#, true),
        ("$teststring =~ $teststring", true),
        ("$teststring =~ $pattern1", true),
        ("$teststring =~ $pattern2", false),
    ];
    for (text, expected) in table {
        assert_eq!(holds(text, &variables), expected, "{text}");
    }
}

/// `spec/lib/ci/inputs/rules_evaluator_spec.rb`, `spec/lib/gitlab/ci/pipeline/expression/lexeme/input_spec.rb`.
#[test]
fn conditions_of_inputs_hold_as_gitlab_says() {
    let input = |name: &str| match name {
        "on" => Value::Truth(true),
        "off" => Value::Truth(false),
        "text" => Value::Text("aws"),
        "a-b" => Value::Text("dash"),
        "count" => Value::Other("3"),
        "none" => Value::Other("[]"),
        _ => Value::Null,
    };
    let table = [
        ("$[[ inputs.text ]] == 'aws'", true),
        ("$[[inputs.text]] != \"aws\"", false),
        ("$[[ inputs.a-b ]] == 'dash'", true),
        ("$[[ inputs.on ]]", true),
        ("$[[ inputs.off ]]", false),
        ("$[[ inputs.on ]] == true", true),
        ("$[[ inputs.on ]] == 'true'", true),
        ("$[[ inputs.off ]] == 'false'", true),
        ("$[[ inputs.off ]] != 'true'", true),
        ("$[[ inputs.count ]] == '3'", false),
        ("$[[ inputs.count ]] =~ /3/", true),
        ("$[[ inputs.count ]]", true),
        ("$[[ inputs.none ]]", false),
        ("$[[ inputs.gone ]] == null", true),
        ("$[[ inputs.text ]] == 'aws' && $[[ inputs.on ]]", true),
        ("$A", false),
    ];
    for (text, expected) in table {
        let expression = Expression::parse(text).unwrap();
        assert_eq!(expression.holds_for_inputs(&|name| input(name)), expected, "{text}");
    }
    assert_eq!(Expression::parse("$[[ inputs.a ]] && ($B || !$[[ inputs.c ]] || $[[ inputs.a ]])").unwrap().inputs(), ["a", "c"]);
}

#[test]
fn what_is_no_condition_says_where() {
    let table = [
        ("", 0),
        ("$A ==", 5),
        ("${A}", 1),
        ("!", 1),
        ("$A !", 3),
        ("!= $A", 0),
        ("truth", 0),
        ("$[[ input.a ]]", 0),
        ("$[[ inputs.a", 0),
        ("$A $B", 3),
        ("($A", 3),
        ("$A == 'x", 6),
        ("$A =~ /x", 6),
        ("$A =~ /(/", 6),
        ("main", 0),
    ];
    for (text, offset) in table {
        assert_eq!(Expression::parse(text).unwrap_err().offset, offset, "{text}");
    }
    assert!(Expression::parse(&"(".repeat(100_000)).is_err());
    assert!(Expression::parse(&format!("$A{}", " || $A".repeat(49))).is_ok());
    assert!(Expression::parse(&format!("$A{}", " || $A".repeat(60))).is_err());
}
