using Mono.Cecil;
using Mono.Cecil.Cil;
using Mono.Cecil.Rocks;

namespace CaptionService.Api.Tests;

/// <summary>Which folder of the server knows which: read from the compiled types, so that no folder comes to know another unnoticed.</summary>
public sealed class FoldersTests
{
    private const string Shared = "(shared)";

    // Each folder knows only folders above it, so no two know each other. Program wires them together and knows all.
    private static readonly (string Folder, string[] Knows)[] s_arrows =
    [
        (Shared, []),
        ("Storage", [Shared]),
        ("Trainer", ["Storage"]),
        ("Datasets", [Shared, "Storage", "Trainer"]),
        ("Models", [Shared, "Storage", "Trainer"]),
        ("Captions", [Shared, "Models"]),
        ("TrainingJobs", [Shared, "Storage", "Trainer", "Models"]),
    ];

    [Fact]
    public void Folders_know_each_other_as_the_table_says()
    {
        using ModuleDefinition module = ModuleDefinition.ReadModule(typeof(ProblemTable).Assembly.Location);
        var found = module.GetAllTypes().SelectMany(type => Named(type).SelectMany(Parts).Select(named => (From: Folder(type), To: Folder(named))))
            .Where(arrow => arrow is { From: not null, To: not null } && arrow.From != arrow.To).Distinct().ToLookup(arrow => arrow.From!, arrow => arrow.To!);

        string expected = Table(s_arrows.Select(row => row.Folder), folder => s_arrows.Single(row => row.Folder == folder).Knows);
        string now = Table(s_arrows.Select(row => row.Folder).Union(found.Select(arrows => arrows.Key)), folder => found[folder]);
        Assert.True(expected == now, $"The folders know each other so:\n{now}");

        static string Table(IEnumerable<string> folders, Func<string, IEnumerable<string>> knows) =>
            string.Join('\n', folders.Select(folder => $"{folder} → {string.Join(", ", knows(folder).Order(StringComparer.Ordinal))}"));
    }

    [Fact]
    public void No_door_of_the_table_goes_both_ways()
    {
        string[] order = [.. s_arrows.Select(row => row.Folder)];
        Assert.All(s_arrows, row => Assert.All(row.Knows, known => Assert.True(Array.IndexOf(order, known) < Array.IndexOf(order, row.Folder), $"{row.Folder} → {known}")));
    }

    private static string? Folder(TypeReference type)
    {
        while (type.DeclaringType is { } outer)
        {
            type = outer;
        }
        return type.Namespace == "CaptionService.Api" ? Shared
            : type.Namespace.StartsWith("CaptionService.Api.", StringComparison.Ordinal) ? type.Namespace["CaptionService.Api.".Length..] : null;
    }

    /// <summary>Types that a type names: above it, in its members and in the code of its methods.</summary>
    private static IEnumerable<TypeReference?> Named(TypeDefinition type) =>
    [
        type.BaseType,
        .. type.Interfaces.Select(implemented => implemented.InterfaceType),
        .. type.Fields.Select(field => field.FieldType),
        .. type.CustomAttributes.Concat(type.Methods.SelectMany(method => method.CustomAttributes)).Select(attribute => attribute.AttributeType),
        .. type.Methods.SelectMany(method => (IEnumerable<TypeReference?>)[method.ReturnType, .. method.Parameters.Select(parameter => parameter.ParameterType)]),
        .. type.Methods.Where(method => method.HasBody).SelectMany(method => method.Body.Variables.Select(variable => variable.VariableType)
            .Concat(method.Body.Instructions.SelectMany(Named))),
    ];

    private static IEnumerable<TypeReference?> Named(Instruction at) => at.Operand switch
    {
        TypeReference type => [type],
        FieldReference field => [field.DeclaringType, field.FieldType],
        GenericInstanceMethod method => [method.DeclaringType, .. method.GenericArguments],
        MethodReference method => [method.DeclaringType, method.ReturnType],
        _ => [],
    };

    private static IEnumerable<TypeReference> Parts(TypeReference? type) => type switch
    {
        null => [],
        GenericInstanceType generic => [generic.ElementType, .. generic.GenericArguments.SelectMany(Parts)],
        TypeSpecification of => Parts(of.ElementType),
        _ => [type],
    };
}
