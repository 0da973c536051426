using Mono.Cecil;
using Mono.Cecil.Cil;
using Assembly = System.Reflection.Assembly;

namespace CaptionService.Tests;

/// <summary>Which folder (namespace) of a project uses which, read from the compiled types.</summary>
internal static class Doors
{
    /// <summary>The folder of the types that stand in none.</summary>
    public const string Root = "(root)";

    /// <summary>
    /// Asserts that the folders use each other exactly as a table says. A row may only name folders of rows above it, so that no two
    /// folders use each other, not even by way of a third.
    /// </summary>
    /// <param name="assembly">Its root namespace has its name.</param>
    /// <param name="allowed">Each folder and the folders it uses, separated by spaces.</param>
    public static void AssertOneWay(Assembly assembly, params (string Folder, string Uses)[] allowed)
    {
        var above = new HashSet<string>();
        foreach (var (folder, uses) in allowed)
        {
            Xunit.Assert.All(Split(uses), used => Xunit.Assert.True(above.Contains(used), $"{folder} → {used}: {used} must stand above {folder} in the table"));
            above.Add(folder);
        }
        var expected = allowed.SelectMany(row => Split(row.Uses).Select(used => (row.Folder, used))).ToHashSet();
        var found = Arrows(assembly, out var folders);
        string[] wrong =
        [
            .. folders.Except(above).Select(folder => $"{folder} is not in the table"),
            .. above.Except(folders).Select(folder => $"{folder} is in the table, and no type stands in it"),
            .. found.Where(arrow => !expected.Contains(arrow.Key)).Select(arrow => $"{arrow.Key.From} → {arrow.Key.To} is not allowed: {string.Join(", ", arrow.Value.Order())}"),
            .. expected.Where(arrow => !found.ContainsKey(arrow)).Select(arrow => $"{arrow.Folder} → {arrow.used} is in the table, and nothing needs it"),
        ];
        Xunit.Assert.True(wrong.Length == 0, string.Join('\n', wrong));
    }

    /// <summary>The arrows between folders, with the pairs of types that make each.</summary>
    private static Dictionary<(string From, string To), HashSet<string>> Arrows(Assembly assembly, out HashSet<string> folders)
    {
        folders = [];
        string root = assembly.GetName().Name!;
        using var read = AssemblyDefinition.ReadAssembly(assembly.Location);
        var arrows = new Dictionary<(string, string), HashSet<string>>();
        foreach (var type in read.MainModule.GetTypes())
        {
            if (FolderOf(type, root) is { } folder)
                folders.Add(folder);
            foreach (var used in Used(type).SelectMany(Parts))
            {
                if (FolderOf(type, root) is not { } from || FolderOf(used, root) is not { } to || from == to)
                    continue;
                if (!arrows.TryGetValue((from, to), out var pairs))
                    arrows[(from, to)] = pairs = [];
                pairs.Add($"{Outermost(type).Name} uses {Outermost(used).Name}");
            }
        }
        return arrows;
    }

    private static IEnumerable<TypeReference> Used(TypeDefinition type) =>
    [
        .. type.BaseType is { } parent ? [parent] : Array.Empty<TypeReference>(),
        .. type.Interfaces.Select(i => i.InterfaceType),
        .. type.CustomAttributes.Concat(type.Fields.SelectMany(f => f.CustomAttributes)).Concat(type.Properties.SelectMany(p => p.CustomAttributes))
            .Concat(type.Methods.SelectMany(m => m.CustomAttributes)).Select(a => a.AttributeType),
        .. type.GenericParameters.SelectMany(p => p.Constraints.Select(c => c.ConstraintType)),
        .. type.Fields.Select(f => f.FieldType),
        .. type.Methods.SelectMany(m => Signature(m).Concat(m.HasBody ? Body(m.Body) : [])),
    ];

    private static IEnumerable<TypeReference> Signature(MethodReference method) =>
    [
        method.DeclaringType, method.ReturnType, .. method.Parameters.Select(p => p.ParameterType),
        .. method is GenericInstanceMethod generic ? generic.GenericArguments : [],
    ];

    private static IEnumerable<TypeReference> Body(MethodBody body) =>
    [
        .. body.Variables.Select(v => v.VariableType),
        .. body.ExceptionHandlers.Select(h => h.CatchType).OfType<TypeReference>(),
        .. body.Instructions.SelectMany(at => at.Operand switch
        {
            TypeReference type => [type],
            MethodReference method => Signature(method),
            FieldReference field => [field.DeclaringType, field.FieldType],
            _ => Array.Empty<TypeReference>(),
        }),
    ];

    /// <summary>The types that a type is made of: its element and its generic arguments.</summary>
    private static IEnumerable<TypeReference> Parts(TypeReference type) => type switch
    {
        GenericParameter => [],
        GenericInstanceType generic => [generic.ElementType, .. generic.GenericArguments.SelectMany(Parts)],
        TypeSpecification of => Parts(of.ElementType),
        _ => [type],
    };

    private static string? FolderOf(TypeReference type, string root)
    {
        string at = Outermost(type).Namespace;
        return at == root ? Root : at.StartsWith(root + ".", StringComparison.Ordinal) ? at[(root.Length + 1)..].Split('.')[0] : null;
    }

    private static TypeReference Outermost(TypeReference type) => type.DeclaringType is { } outer ? Outermost(outer) : type;

    private static string[] Split(string folders) => folders.Split(' ', StringSplitOptions.RemoveEmptyEntries);
}
