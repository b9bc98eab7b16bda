//! Nothing: the manifest beside this names the package that is built.
