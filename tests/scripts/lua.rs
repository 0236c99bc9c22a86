//! Runs the scripts as Argo CD does: Lua 5.1 with the base and table libraries only, and the object as `obj`.

use std::path::Path;

use mlua::{Lua, LuaOptions, LuaSerdeExt, SerializeOptions, StdLib};
use serde_json::{Value, json};

/// The time on the clock of [`run`].
pub const NOW: &str = "2026-12-31T17:00:00Z";

/// The kinds. The scripts are the same for all.
pub fn kinds() -> Vec<String> {
    rescind::api::crds().into_iter().map(|crd| crd.definition.spec.names.kind).collect()
}

/// A script, named by its path in the folder.
pub fn script(path: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/rescind/files/argocd");
    std::fs::read_to_string(folder.join(path)).unwrap()
}

/// The value that `script` returns for `obj`.
pub fn run(script: &str, obj: &Value) -> Result<Value, mlua::Error> {
    let lua = Lua::new_with(StdLib::TABLE, LuaOptions::default())?;
    // Argo CD represents absent and null as nil, and lists as plain tables.
    let plain =
        SerializeOptions::new().serialize_none_to_null(false).serialize_unit_to_null(false).set_array_metatable(false);
    lua.globals().set("obj", lua.to_value_with(obj, plain)?)?;
    // Scripts can require a reduced `os` and nothing else.
    let os = lua.create_table()?;
    os.set("date", lua.create_function(|_, _: Option<String>| Ok(NOW))?)?;
    let require = lua.create_function(move |_, name: String| match name.as_str() {
        "os" => Ok(os.clone()),
        other => Err(mlua::Error::runtime(format!("module {other} not found"))),
    })?;
    lua.globals().set("require", require)?;
    let mut returned = lua.from_value(lua.load(script).eval()?)?;
    tell_empty_lists(&mut returned, obj);
    Ok(returned)
}

/// Lua cannot tell an empty list from an empty map, so Argo CD looks at the original object, and so does this.
fn tell_empty_lists(returned: &mut Value, before: &Value) {
    match (returned, before) {
        (Value::Object(fields), Value::Object(before)) => {
            for (name, before) in before {
                fields.get_mut(name).into_iter().for_each(|field| tell_empty_lists(field, before));
            }
        }
        (returned, Value::Array(items)) if items.is_empty() && *returned == json!({}) => *returned = json!([]),
        _ => {}
    }
}

/// The health status and message that `script` returns for `obj`.
pub fn health(script: &str, obj: &Value) -> Result<(String, String), mlua::Error> {
    let answer = run(script, obj)?;
    let text = |field: &str| answer[field].as_str().map(str::to_owned);
    let both = text("status").zip(text("message"));
    both.ok_or_else(|| mlua::Error::runtime(format!("not a health: {answer}")))
}

#[test]
fn a_script_has_no_more_than_argo_cd_gives_it() {
    for missing in ["string.upper('a')", "('a'):upper()", "math.floor(1)", "os.date()", "io.open('x')"] {
        assert!(run(&format!("return {missing}"), &Value::Null).is_err(), "{missing}");
    }
    assert_eq!(run("return _VERSION", &Value::Null).unwrap(), "Lua 5.1");
}
