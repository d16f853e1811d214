// The words that the engine shares with the language of scenarios. They belong to the engine's interface, so
// `import Holdfast` alone has to bring them.
@_exported public import HoldfastWords
