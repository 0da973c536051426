using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;
using CaptionService.Api.CaptionJobs;
using CaptionService.Api.Captions;
using CaptionService.Api.Compatible;
using CaptionService.Api.Datasets;
using CaptionService.Api.Feedback;
using CaptionService.Api.Keys;
using CaptionService.Api.Models;
using CaptionService.Api.Storage;
using CaptionService.Api.Trainer;
using CaptionService.Api.TrainingJobs;
using CaptionService.Api.Webhooks;
using CaptionService.Tests;

namespace CaptionService.Api.Tests.RepositoryFiles;

/// <summary>The tables of the documents say what the code says. A failing test prints the table as it should be.</summary>
public sealed class DocumentsTests
{
    [Fact]
    public void Every_problem_is_in_the_table_of_the_API() =>
        Assert.Equal(ProblemTable.All.Select(kind => $"| `{kind.Code}` | {kind.Status} | {kind.Title} | {kind.WhatToDo} |"), Rows("docs/api.md", "| code | status | what happened | what to do |"));

    [Theory]
    [InlineData(typeof(CaptioningOptions))]
    [InlineData(typeof(ModelsOptions))]
    [InlineData(typeof(DatasetsOptions))]
    [InlineData(typeof(CaptionJobsOptions))]
    [InlineData(typeof(TrainingSettings), typeof(TrainerOptions))]
    [InlineData(typeof(FeedbackOptions))]
    [InlineData(typeof(StorageOptions))]
    [InlineData(typeof(CorsSettings))]
    [InlineData(typeof(AuthOptions))]
    [InlineData(typeof(CompatibleOptions))]
    [InlineData(typeof(ForwardedSettings))]
    [InlineData(typeof(RateLimitOptions))]
    [InlineData(typeof(WebhooksOptions))]
    public void Every_setting_is_in_the_table_of_settings(params Type[] ofSection)
    {
        string section = (string)ofSection[0].GetField("Section")!.GetRawConstantValue()!;
        string[] expected = [.. ofSection.SelectMany(options => options.GetProperties().Where(property => property.CanWrite)
            .Select(property => $"| `{section}:{property.Name}` | {Default(property, property.GetValue(Activator.CreateInstance(options)))} | {Range(property)} |"))];

        string[] told = [.. Rows("docs/settings.md", "| setting | default | range | meaning |")
            .Where(row => row.StartsWith($"| `{section}:", StringComparison.Ordinal)).Select(row => row[..(row.IndexOf('|', row.IndexOf('|', row.IndexOf('|', 1) + 1) + 1) + 1)])];

        Assert.Equal(expected, told);
    }

    [Fact]
    public void Every_link_of_the_documents_leads_to_a_file()
    {
        foreach (string document in (string[])["README.md", "ARCHITECTURE.md", .. Directory.GetFiles(Path.Combine(Repository.Root, "docs"), "*.md").Select(file => "docs/" + Path.GetFileName(file))])
        {
            string folder = Path.GetDirectoryName(Path.Combine(Repository.Root, document))!;
            foreach (Match link in Regex.Matches(Repository.Read(document), @"\]\((?!https?:)([^)#]+)[^)]*\)"))
            {
                Assert.True(Path.Exists(Path.Combine(folder, link.Groups[1].Value)), $"{document} links to '{link.Groups[1].Value}', which is not there.");
            }
        }
    }

    private static string Default(PropertyInfo property, object? value) => value switch
    {
        null => "none",
        System.Collections.ICollection { Count: 0 } => "none",
        string text when property.Name == nameof(CaptioningOptions.ModelFolder) => Path.IsPathRooted(text) ? "the models inside" : text,
        bool yes => yes ? "true" : "false",
        _ => Text(value),
    };

    private static string Range(PropertyInfo property)
    {
        if (property.GetCustomAttribute<RangeAttribute>() is { } range)
        {
            return $"{Text(range.Minimum)} to {Text(range.Maximum)}";
        }
        return property.GetCustomAttribute<AllowedValuesAttribute>() is { } allowed ? string.Join(", ", allowed.Values.Select(value => $"`{value}`"))
            : property.PropertyType == typeof(bool) ? "true, false" : "";
    }

    private static string Text(object value) => value is long or int or double and >= 1000 ? Convert.ToInt64(value, CultureInfo.InvariantCulture).ToString("N0", CultureInfo.InvariantCulture)
        : Convert.ToString(value, CultureInfo.InvariantCulture)!;

    /// <summary>The rows below a table's head.</summary>
    private static string[] Rows(string document, string head)
    {
        string[] lines = Repository.Read(document).Split('\n');
        int start = Array.IndexOf(lines, head);
        Assert.True(start >= 0, $"{document} has no table '{head}'.");
        return [.. lines.Skip(start + 2).TakeWhile(line => line.StartsWith('|'))];
    }
}
