//! Names of functions in programs and libraries, each recorded as often as it is called. Needs
//! root and a C compiler.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::recording::{Recorder, Recording, wait_for};
use crate::common::trace::tracer;

/// Compiles files with these names and texts into `output`, all in `folder`.
fn compile(folder: &Path, sources: &[(&str, &str)], output: &str, args: &[&str]) {
    for (name, text) in sources {
        fs::write(folder.join(name), text).unwrap();
    }
    let is_cpp = sources[0].0 == "main.cc";
    let mut cc = Command::new(if is_cpp { "c++" } else { "cc" });
    cc.args(["-O1", "-o", output]);
    cc.args(sources.iter().map(|(name, _)| name)).args(args);
    assert!(cc.current_dir(folder).status().unwrap().success());
}

/// A recorder of these probes in a command. It runs in its folder, where `compile` puts programs.
fn recorder(probes: &[&str]) -> Recorder {
    let mut args = vec!["--only-command"];
    for probe in probes {
        args.extend(["-e", probe]);
    }
    Recorder::new(&args)
}

/// The number of events of each class.
fn counts(recording: &Recording) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in recording.trace().events {
        *counts.entry(event.name).or_default() += 1;
    }
    counts
}

fn expected(counts: &[(&str, usize)]) -> BTreeMap<String, usize> {
    let counts = counts.iter();
    counts
        .map(|&(name, count)| (name.to_owned(), count))
        .collect()
}

/// What `tracer list PATTERN` prints in `folder`.
fn listed(folder: &Path, pattern: &str) -> String {
    let output = tracer(|command| command.args(["list", pattern]).current_dir(folder));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Three files with a function of the same name, which is called 1, 2 and 3 times.
fn compile_namesakes(folder: &Path) {
    const FILE: &str = "
        static __attribute__((noipa)) int helper(int x) { return x + N; }
        int CALLER(void) {
            int sum = 0;
            for (int i = 0; i < N; i++) sum += helper(i);
            return sum;
        }";
    let file = |n: u32| {
        FILE.replace("CALLER", &format!("caller{n}"))
            .replace('N', &n.to_string())
    };
    let main = "int caller1(void), caller2(void), caller3(void);
                int main(void) { return caller1() + caller2() + caller3() == 0; }";
    let files = [
        ("a.c", &*file(1)),
        ("b.c", &*file(2)),
        ("c.c", &*file(3)),
        ("main.c", main),
    ];
    compile(folder, &files, "dup", &[]);
}

#[test]
fn all_functions_of_one_name_are_recorded() {
    for (probes, classes) in [
        (
            &["uprobe:./dup:helper", "uretprobe:./dup:helper"][..],
            &[("uprobe:./dup:helper", 6), ("uretprobe:./dup:helper", 6)][..],
        ),
        (&["uprobe:./dup:h?lper"], &[("uprobe:./dup:helper", 6)]),
        (&["uretprobe:./dup:help*"], &[("uretprobe:./dup:helper", 6)]),
    ] {
        let recorder = recorder(probes);
        compile_namesakes(recorder.folder());
        let recording = recorder.command(["./dup"]).run();
        assert_eq!(counts(&recording), expected(classes));
        let list = listed(recording.folder(), "uprobe:./dup:helper");
        assert!(
            list.starts_with("uprobe:./dup:helper\n    3 functions"),
            "{list}"
        );
    }
}

/// A library whose function `f` has an obsolete version, and a program that calls the current one.
fn compile_versions(folder: &Path) {
    let library = "
        int obsolete(void) { return 1; }
        int current(void) { return 2; }
        __asm__(\".symver obsolete, f@OLD_1\");
        __asm__(\".symver current, f@@NEW_2\");";
    fs::write(folder.join("map"), "OLD_1 { f; }; NEW_2 { f; } OLD_1;").unwrap();
    let library_args = [
        "-shared",
        "-nostartfiles",
        "-fPIC",
        "-Wl,--version-script=map",
    ];
    compile(folder, &[("library.c", library)], "libf.so", &library_args);
    let main = "int f(void);
                int main(void) { int sum = 0; for (int i = 0; i < 5; i++) sum += f(); return sum != 10; }";
    let args = ["-L.", "-lf", "-Wl,-rpath,$ORIGIN"];
    compile(folder, &[("main.c", main)], "main", &args);
}

#[test]
fn a_symbol_with_versions_means_the_default_one() {
    let recorder = recorder(&[
        "uprobe:./libf.so:f",
        "uprobe:./libf.so:f@NEW_2",
        "uprobe:./libf.so:f@@NEW_2",
        "uprobe:./libf.so:f@OLD_1",
    ]);
    compile_versions(recorder.folder());
    let recording = recorder.command(["./main"]).run();
    let classes = expected(&[
        ("uprobe:./libf.so:f", 5),
        ("uprobe:./libf.so:f@NEW_2", 5),
        ("uprobe:./libf.so:f@@NEW_2", 5),
    ]);
    assert_eq!(counts(&recording), classes);
    let list = listed(recording.folder(), "uprobe:./libf.so:f*");
    let lines: Vec<&str> = list.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(lines, ["uprobe:./libf.so:f", "uprobe:./libf.so:f@OLD_1"]);
    assert!(
        list.contains("default version NEW_2; also f@OLD_1"),
        "{list}"
    );
    let error = tracer(|command| {
        let command = command.args(["list", "uprobe:./libf.so:f@OTHER"]);
        command.current_dir(recording.folder())
    });
    let error = String::from_utf8(error.stderr).unwrap();
    assert!(error.contains("probe `f@@NEW_2` or `f@OLD_1`"), "{error}");
}

#[test]
fn versions_of_the_c_library_are_those_that_programs_call() {
    let recorder = recorder(&["uprobe:libc:pthread_cond_timedwait", "uprobe:libc:memcpy"]);
    let main = "
        #include <pthread.h>
        #include <string.h>
        #include <unistd.h>
        int main(int argc, char **argv) {
            pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
            pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
            struct timespec past = {0};
            char from[64] = {0}, to[64];
            pthread_mutex_lock(&mutex);
            for (int i = 0; i < 7; i++) pthread_cond_timedwait(&condition, &mutex, &past);
            void *(*volatile copy)(void *, const void *, size_t) = memcpy;
            for (int i = 0; i < 1000; i++) copy(to, from, argc + 40);
            return to[argc];
        }";
    compile(
        recorder.folder(),
        &[("main.c", main)],
        "main",
        &["-pthread"],
    );
    let recording = recorder.command(["./main"]).run();
    let counts = counts(&recording);
    let count = |symbol: &str| {
        let class = counts.iter().find(|(name, _)| name.ends_with(symbol));
        class.map_or(0, |(_, count)| *count)
    };
    assert_eq!(count(":pthread_cond_timedwait"), 7);
    // The linker and the C library copy, too.
    let copies = count(":memcpy");
    assert!((1000..1100).contains(&copies), "{copies}");
}

#[test]
fn an_indirect_function_is_recorded_at_what_its_resolver_selects() {
    let recorder = recorder(&["uprobe:./main:pick", "uretprobe:./main:pick"]);
    let main = "
        static __attribute__((noipa)) int first(int x) { return x + 1; }
        static __attribute__((noipa)) int second(int x) { return x + 2; }
        static int (*resolve(void))(int) {
            __builtin_cpu_init();
            return __builtin_cpu_supports(\"sse4.2\") ? first : second;
        }
        int pick(int x) __attribute__((ifunc(\"resolve\")));
        int main(void) { int sum = 0; for (int i = 0; i < 9; i++) sum += pick(i); return sum == 0; }";
    compile(recorder.folder(), &[("main.c", main)], "main", &[]);
    let recording = recorder.command(["./main"]).run();
    let classes = expected(&[("uprobe:./main:pick", 9), ("uretprobe:./main:pick", 9)]);
    assert_eq!(counts(&recording), classes);
    assert!(
        recording.stderr.contains("indirect function"),
        "{}",
        recording.stderr
    );
    let list = listed(recording.folder(), "uprobe:./main:pick");
    assert!(list.contains("first, second"), "{list}");
}

#[test]
fn names_that_look_like_probes_are_quoted() {
    let path = "a, {b} if c/main";
    let recorder = recorder(&[
        r#"uprobe:"./a, {b} if c/main":"main.F[a,b]"{n=arg0:u32} if n < 3"#,
        r#"uprobe:"./a, {b} if c/main":main.F[...],uprobe:'./a, {b} if c/main':main"#,
    ]);
    let folder = recorder.folder();
    fs::create_dir(folder.join("a, {b} if c")).unwrap();
    let main = "
        __attribute__((noipa)) int one(int x) { return x; }
        __attribute__((noipa)) int two(int x) { return x; }
        int main(void) { for (int i = 0; i < 8; i++) { one(i); two(i); } return 0; }";
    compile(folder, &[("main.c", main)], path, &[]);
    let mut objcopy = Command::new("objcopy");
    objcopy.args(["--redefine-sym", "one=main.F[a,b]"]);
    objcopy.args(["--redefine-sym", "two=main.F[...]", path]);
    assert!(objcopy.current_dir(folder).status().unwrap().success());
    let recording = recorder.command([format!("./{path}")]).run();
    let classes = [
        r#"uprobe:"./a, {b} if c/main":"main.F[a,b]""#,
        r#"uprobe:"./a, {b} if c/main":main.F[...]"#,
        r#"uprobe:"./a, {b} if c/main":main"#,
    ];
    let expected = expected(&[(classes[0], 3), (classes[1], 8), (classes[2], 1)]);
    assert_eq!(counts(&recording), expected);
    let report = ["-e", classes[1]];
    let lines = crate::common::trace::report(recording.trace_dir(), &report);
    assert_eq!(lines.matches("main.F[...]").count(), 8, "{lines}");
    // What is listed and suggested can be typed.
    let list = listed(recording.folder(), r#"uprobe:"./a, {b} if c/main":main.F*"#);
    assert_eq!(list.lines().collect::<Vec<_>>(), [classes[1], classes[0]]);
    let misspelt = r#"uprobe:"./a, {b} if c/main":"main.F[a,c]""#;
    let output = tracer(|command| {
        command
            .args(["list", misspelt])
            .current_dir(recording.folder())
    });
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(r#"did you mean `"main.F[a,b]"`"#), "{error}");
}

#[test]
fn functions_of_cpp_are_found_by_the_names_of_the_source() {
    let main = "
        #define KEPT __attribute__((noipa))
        namespace ns {
            KEPT int single(int x) { return x; }
            KEPT int twice(int x) { return x; }
            KEPT int twice(double x, char) { return x; }
            struct Type { int x; KEPT int method(int y) const { return x + y; } };
        }
        int main() {
            int sum = 0;
            for (int i = 0; i < 4; i++) sum += ns::single(i) + ns::twice(i) + ns::Type{i}.method(i);
            return sum + ns::twice(1.0, 'a') == 0;
        }";
    let probes = [
        "uprobe:./main:ns::single",
        "uprobe:./main:ns::Type::method",
        "uprobe:./main:ns::twice(double, char)",
        "uprobe:./main:ns::t*",
    ];
    let recorder = recorder(&probes);
    compile(recorder.folder(), &[("main.cc", main)], "main", &[]);
    let recording = recorder.command(["./main"]).run();
    let classes = expected(&[
        ("uprobe:./main:ns::single", 4),
        ("uprobe:./main:ns::Type::method", 4),
        ("uprobe:./main:\"ns::twice(double, char)\"", 1),
        ("uprobe:./main:ns::twice(int)", 4),
    ]);
    assert_eq!(counts(&recording), classes);
    let output = tracer(|command| {
        let command = command.args(["list", "uprobe:./main:ns::twice"]);
        command.current_dir(recording.folder())
    });
    let error = String::from_utf8(output.stderr).unwrap();
    let functions = "probe `\"ns::twice(double, char)\"` or `ns::twice(int)`";
    assert!(error.contains(functions), "{error}");
}

#[test]
fn commands_and_libraries_are_found_by_name() {
    let recorder = recorder(&["uprobe:namedwork:f", "uprobe:libc.so.6:getppid"]);
    let main = "
        #include <unistd.h>
        __attribute__((noipa)) int f(int x) { return x; }
        int main(void) { for (int i = 0; i < 3; i++) { f(i); getppid(); getppid(); } return 0; }";
    let folder = recorder.folder().to_owned();
    fs::create_dir(folder.join("bin")).unwrap();
    compile(&folder, &[("main.c", main)], "bin/namedwork", &[]);
    let script = format!("PATH={}/bin:$PATH exec \"$@\"", folder.display());
    let recording = recorder.by_script(&script).command(["namedwork"]).run();
    let counts = counts(&recording);
    let program = format!("uprobe:{}/bin/namedwork:f", folder.display());
    assert_eq!(counts.get(&program), Some(&3), "{counts:?}");
    let (library, calls) = counts.iter().find(|(name, _)| **name != program).unwrap();
    assert!(library.ends_with("/libc.so.6:getppid"), "{library}");
    assert_eq!(*calls, 6);
    let error = tracer(|command| command.args(["list", "uprobe:no-such-program:main"]));
    let error = String::from_utf8(error.stderr).unwrap();
    assert!(error.contains("is named `no-such-program`"), "{error}");
}

/// A program that only the recorded process sees, in its own mount namespace.
#[test]
fn a_program_of_another_mount_namespace_is_found_by_its_path_there() {
    let folder = tempfile::tempdir().unwrap();
    let main = "
        #include <stdio.h>
        __attribute__((noipa)) int f(int x) { return x; }
        int main(void) { getchar(); for (int i = 0; i < 5; i++) f(i); return 0; }";
    compile(folder.path(), &[("main.c", main)], "main", &[]);
    let script = "mount -t tmpfs tmpfs /mnt; cp main /mnt/inside; exec /mnt/inside";
    let mut inside = Command::new("unshare")
        .args(["--mount", "sh", "-ec", script])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = inside.id().to_string();
    wait_for("the program", || {
        let exe = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        exe.ends_with("inside").then_some(())
    });
    let probe = "uprobe:/mnt/inside:f";
    let fifo = folder.path().join("go");
    let recorder = Recorder::new(&["-e", probe, "-p", &pid]);
    let script = format!("while [ ! -e {} ]; do sleep 0.01; done", fifo.display());
    let mut running = recorder
        .command(["sh", "-c", &format!("touch begun; {script}")])
        .start();
    running.wait_for_file("begun");
    drop(inside.stdin.take());
    assert!(inside.wait().unwrap().success());
    fs::write(fifo, "").unwrap();
    let recording = running.wait();
    assert_eq!(counts(&recording), expected(&[(probe, 5)]));
}

#[test]
fn returns_of_go_programs_are_refused() {
    let recorder = recorder(&["uretprobe:./main:f"]);
    let main = "
        __attribute__((section(\".go.buildinfo\"))) char info[16];
        __attribute__((noipa)) int f(int x) { return x; }
        int main(void) { return f(0); }";
    compile(recorder.folder(), &[("main.c", main)], "main", &[]);
    let recording = recorder.command(["./main"]).run();
    recording.assert_refused(&["Go program", "uprobe:./main:f+OFFSET"]);
}
